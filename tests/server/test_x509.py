"""When a certificate ends."""

import contextlib
from datetime import UTC, datetime

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from kinema_server.x509 import not_after

AUTHORITY = trustme.CA()
END = datetime(2040, 1, 2, 3, 4, 5, tzinfo=UTC)
PEM = AUTHORITY.issue_cert("kinema.example", not_after=END).cert_chain_pems[0].bytes()


@pytest.mark.parametrize("year", [2011, 2049, 2050, 2133])  # long ended; the last year in two digits, the first in four
def test_the_end_of_a_certificate_is_what_it_was_made_with(year: int) -> None:
    end = datetime(year, 12, 31, 23, 59, 58, tzinfo=UTC)
    begin = datetime(2010, 1, 1, tzinfo=UTC)
    issued = AUTHORITY.issue_cert("kinema.example", not_before=begin, not_after=end)

    assert not_after(issued.cert_chain_pems[0].bytes()) == end


def test_the_first_certificate_of_a_chain_counts_and_what_stands_before_it_does_not() -> None:
    chain = b"subject=kinema.example\n" + PEM + AUTHORITY.cert_pem.bytes()

    assert not_after(chain) == END
    assert not_after(AUTHORITY.cert_pem.bytes()) > END


@given(st.data())
def test_what_is_no_certificate_is_an_error_of_its_value(data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(PEM) - 1))
    lines = PEM[:cut] + data.draw(st.binary(max_size=8))

    with contextlib.suppress(ValueError):
        assert not_after(lines) == END  # what was cut off stands behind its end
