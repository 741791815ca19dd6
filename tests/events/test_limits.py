"""The limits fit together: whatever may be sent in can be sent out again."""

from devicewatch.events.codec import decode_reply, decode_request, encode_reply, encode_request
from devicewatch.events.messages import Register, Replay, Snapshot
from devicewatch.events.protocol import (
    MAX_ADDR,
    MAX_FRAME_BYTES,
    MAX_METADATA,
    MAX_NAME,
    MAX_PAGE,
    MAX_REQUEST_BYTES,
)
from devicewatch.registry.core import RegistryCore


def largest_request(number: int) -> Register:
    """As many bytes as a request may have: characters of four bytes, and metadata to fill up."""
    request = Register(
        device_type="\N{SEAL}" * MAX_NAME,
        addr=f"{number:03}" + "\N{SEAL}" * (MAX_ADDR - 3),
        name=f"{number:03}" + "\N{SEAL}" * (MAX_NAME - 3),
    )
    metadata: dict[str, str] = {}
    for entry in range(MAX_METADATA):
        used = len(encode_request(with_metadata(request, metadata)))
        left = MAX_REQUEST_BYTES - used - len(f',"{entry:02}":""')
        if left < 4:
            break
        metadata[f"{entry:02}"] = "\N{SEAL}" * min(1_000, left // 4)
    return with_metadata(request, metadata)


def with_metadata(request: Register, metadata: dict[str, str]) -> Register:
    return Register(request.device_type, request.addr, request.name, metadata=metadata)


def test_a_page_of_the_largest_devices_fits_into_a_frame() -> None:
    core = RegistryCore("epoch", 0.0)
    for number in range(MAX_PAGE):
        data = encode_request(largest_request(number))
        assert MAX_REQUEST_BYTES - 16 <= len(data) <= MAX_REQUEST_BYTES
        core.handle(decode_request([data]), 0.0)
    for question in (Snapshot(), Replay("epoch", 0)):
        reply, _ = core.handle(question, 0.0)
        data = encode_reply(reply)
        assert 0.95 * MAX_FRAME_BYTES < len(data) <= MAX_FRAME_BYTES
        assert encode_reply(decode_reply([data])) == data
