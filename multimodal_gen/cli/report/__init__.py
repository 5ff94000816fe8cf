"""One page about a run, and a model card with the same content.

    what a run knows -> facts -> sections of blocks -> HTML
                                                    -> Markdown

`facts.py` is what is known of a run (`data.py`: its rows; `mistakes.py`: the worst test rows,
explained). `sections.py` and `background.py` say it in sentences, tables and pictures, the
`blocks.py`, which `page.py` writes as HTML and `card.py` as Markdown. `writing.py` writes both.
"""
