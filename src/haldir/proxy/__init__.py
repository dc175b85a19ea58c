"""What stands behind Haldir: upstreams, tools, calls, and the wire to them."""
