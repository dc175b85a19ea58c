"""What breaks under Haldir, on purpose: processes, disks, databases and upstreams. `make faults` runs it in full."""
