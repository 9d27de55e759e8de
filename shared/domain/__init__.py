"""Rules and values. Pure: the standard library and msgspec; no clock, I/O, vendor or HTTP."""
