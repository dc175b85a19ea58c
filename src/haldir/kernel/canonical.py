"""Canonical JSON: one spelling of one value, so that equal things have equal digests."""

import msgspec

encode = msgspec.json.Encoder(order="sorted").encode
