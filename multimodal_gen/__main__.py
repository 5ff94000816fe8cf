"""`python -m multimodal_gen`: the command line, where the script `multimodal-gen` is not on the
path.
"""

from multimodal_gen.cli import main

main()
