"""How well the text of a page can be read: WCAG's contrast, from the styles that apply."""

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from playwright.sync_api import Page

_TEXTS: Final = """() => {
  const pixel = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const paint = (colours) => {
    pixel.fillStyle = "white";
    for (const colour of colours) {
      pixel.fillStyle = colour;
      pixel.fillRect(0, 0, 1, 1);
    }
    return [...pixel.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const found = {};
  for (const part of document.querySelectorAll("body *")) {
    const own = [...part.childNodes].some((node) => node.nodeType === 3 && node.data.trim() !== "");
    if (!own || !part.checkVisibility() || part.closest(".unseen, .skip, noscript")) continue;
    const grounds = [];
    for (let at = part; at !== null; at = at.parentElement) {
      grounds.unshift(getComputedStyle(at).backgroundColor);
    }
    const { color } = getComputedStyle(part);
    const what = `${part.tagName}.${part.className}#${part.id} ${part.textContent.slice(0, 30)}`;
    found[what] = [paint([...grounds, color]), paint(grounds)];
  }
  return found;
}"""


def contrasts(page: "Page") -> dict[str, float]:
    """The contrast of each text that is shown, by what it is; 4.5 is enough for any (WCAG AA)."""
    texts = page.evaluate(_TEXTS)
    return {what: contrast(*colours) for what, colours in texts.items()}


def contrast(one: list[int], other: list[int]) -> float:
    """Of two colours, each in red, green and blue up to 255."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: list[int]) -> float:
    parts = [part / 255 for part in colour]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
