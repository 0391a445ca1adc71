"""All measurements, one after another: `python -m bench`, or some: `python -m bench lanes start`."""

import sys

from bench import (
    deliver,
    flat,
    history,
    lanes,
    listening,
    pages,
    product,
    receive,
    scale,
    slow,
    start,
    upkeep,
)

ALL = {
    "product": product.main,
    "slow": slow.main,
    "flat": flat.main,
    "upkeep": upkeep.main,
    "receive": receive.main,
    "deliver": deliver.main,
    "lanes": lanes.main,
    "start": start.main,
    "history": history.main,
    "pages": pages.main,
    "scale": scale.main,
    "listening": listening.main,
}

ONLY_BY_NAME = {"smoke": product.smoke}

for name in sys.argv[1:] or ALL:
    {**ALL, **ONLY_BY_NAME}[name]()
