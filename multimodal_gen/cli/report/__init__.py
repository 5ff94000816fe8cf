"""One page about a run, and a model card with the same content.

    what a run knows -> facts -> sections of blocks -> HTML
                                                    -> Markdown

`facts.py` is what is known of a run (`data.py`: its rows; `mistakes.py`: the worst test rows,
explained). `sections.py` says it in sentences, tables and pictures (`figures.py`: how good the
model is; `background.py`: what it was made of), the `blocks.py`, which `page.py` turns into HTML
and `card.py` into Markdown. `writing.py` writes both.
"""
