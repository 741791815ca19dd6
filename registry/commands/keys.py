"""`devicewatch keys`: making keys, and saying who is let in."""

from pathlib import Path

import click

from ...events.errors import KeyFileError
from ...events.keys import Key, check_public_key, fingerprint, key_path, keys_folder
from ...events.protocol import Role
from ...events.text import printable
from ..authorized import AuthorizedKeys, authorize, authorized_path, revoke
from ..security import Grant
from .options import authorized_option


class _PublicKey(click.types.StringParamType):
    name = "key"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Read it."""
        try:
            return check_public_key(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.group()
def keys() -> None:
    """Make keys, and say whose are let in to a registry.

    A registry that is started with `serve --curve` lets in nobody else.
    """


@keys.command()
@click.argument("name")
@click.option(
    "--registry",
    metavar="PUBKEY",
    type=_PublicKey(),
    help="Public key of the registry that it is for; that shows it at its start.",
)
def new(name: str, registry: str | None) -> None:
    """Make a key pair for one program.

    It is called NAME; where that is a path, such as ./camera.key, it is put there. Only you can
    read the file. An existing one is not replaced.
    """
    path = key_path(name)
    key = Key.new(registry)
    key.save(path)
    click.echo(f"{path} is a new key, {fingerprint(key.public)}. Its public half:")
    click.echo(f"\n    {key.public}\n")
    if registry is None:
        click.echo("It is for a registry itself, until its file says which registry it is for.")
    else:
        command = f"devicewatch keys authorize {key.public} --role ROLE"
        click.echo(f"To be let in, run where the registry runs:\n\n    {command}")


@keys.command()
@click.argument("name", required=False)
@authorized_option
def show(name: str | None, authorized: Path | None) -> None:
    """Show the key NAME, or all that there is.

    Without NAME that is the keys that you have and those that are let in. Secrets are not shown.
    """
    if name is not None:
        _print_key(name)
        return
    for path in sorted(keys_folder().glob("*.key")):
        try:
            key = Key.load(path)
        except KeyFileError as error:
            click.echo(f"problem: {printable(error)}")
            continue
        row = f"{path.stem:<16} {key.public}  {fingerprint(key.public)}"
        click.echo(printable(row))
    path = authorized or authorized_path()
    if path.exists() or authorized is not None:
        grants = AuthorizedKeys(path).load()
        click.echo(f"let in by {path}:")
        for grant in grants.values():
            click.echo(f"{printable(grant)}  {fingerprint(grant.public)}")


def _print_key(name: str) -> None:
    key = Key.load(name)
    click.echo(f"file         {printable(key_path(name))}")
    click.echo(f"public key   {key.public}")
    click.echo(f"fingerprint  {fingerprint(key.public)}")
    click.echo(f"registry     {key.registry or 'none: it is for a registry itself'}")


@keys.command("authorize")
@click.argument("public", metavar="PUBKEY", type=_PublicKey())
@click.option(
    "--role",
    required=True,
    type=click.Choice([role.value for role in Role]),
    help="What it may do: a viewer looks, a device also registers, an admin may do everything.",
)
@click.option(
    "--names",
    default="*",
    show_default=True,
    metavar="GLOB",
    help="The names that its devices may have: 'cam*', 'bed3-?'.",
)
@click.option("--comment", default="", metavar="TEXT", help="Whose it is, for people.")
@authorized_option
def authorize_(public: str, role: str, names: str, comment: str, authorized: Path | None) -> None:
    """Let PUBKEY in, or change what it may do.

    A running registry takes it within half a second.
    """
    if not names or any(not c.isprintable() or c.isspace() for c in names):
        raise click.BadParameter("use ? where a name has a space", param_hint="--names")
    if not comment.isprintable():
        raise click.BadParameter("it is to be one line of text", param_hint="--comment")
    path = authorized or authorized_path()
    known = authorize(path, Grant(public, Role(role), names, comment))
    what = "was changed" if known else "is let in"
    click.echo(f"the key {fingerprint(public)} {what}, as {role} for the names {names}: {path}")


@keys.command("revoke")
@click.argument("key", metavar="PUBKEY")
@authorized_option
def revoke_(key: str, authorized: Path | None) -> None:
    """Let PUBKEY in no more; its fingerprint will do.

    A running registry cuts its connections off, and ends its registrations, within half a second.
    """
    path = authorized or authorized_path()
    grant = revoke(path, key)
    click.echo(f"the key {fingerprint(grant.public)} is let in no more: {path}")
