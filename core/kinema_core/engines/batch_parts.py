"""How many pictures run together where each size of batch has to be prepared: by a CUDA graph, or a context of a plan.

A server's batches come in every size; before a graph is captured, PyTorch runs the model three times.
"""

from collections.abc import Iterator


def parts_of(num_pictures: int, limit: int | None = None) -> Iterator[slice]:
    """Cut a batch into parts of at most `limit` pictures, each a power of two, the largest first: 11 into 8, 2, 1.

    So there are five sizes up to 16 instead of sixteen.
    """
    start, size = 0, 1 << (min(num_pictures, limit or num_pictures).bit_length() - 1)
    while start < num_pictures:
        while size > num_pictures - start:
            size //= 2
        yield slice(start, start + size)
        start += size
