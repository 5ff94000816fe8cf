"""Spoiled pictures and bundles by the thousand, to find what breaks their readers: `make fuzz`."""
