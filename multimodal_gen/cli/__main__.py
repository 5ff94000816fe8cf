"""`python -m multimodal_gen.cli`: the same as `python -m multimodal_gen`."""

from multimodal_gen.cli import main

main()
