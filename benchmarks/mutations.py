"""Mutants of every kind of file that users hand in: what the package's readers make of them.

A neutral change (a byte-order mark, line ends, an encoding, columns in another order) must give equal records; damage
must be refused with the file and the line; anything else must be what a short reference reader makes of it, or what the
format leaves open. Another exception, a hang and a huge allocation are faults. The same mutants as in `tests/mutation`.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "mutation"))

from readers import READERS  # type: ignore[import-not-found]
from rich.console import Console
from rich.table import Table
from supervisor import results  # type: ignore[import-not-found]

from common import arguments, machine

MUTANTS, FEW = 1000, 100
OUTCOMES = ("equal", "refused", "matched", "open", "fault")


def main() -> int:
    """Print the table and the faults; returns 1 if there are any."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--only", default="", help="readers whose name holds this")
    parser.add_argument("--mutants", type=int, help=f"of each reader (default: {MUTANTS}; {FEW} with --quick)")
    args = parser.parse_args()
    count = args.mutants or (FEW if args.quick else MUTANTS)
    console, table = Console(width=140, highlight=False), Table(title="Mutants by reader")
    for column in ("reader", "mutants", "equal", "refused", "matched the reference", "left open", "faults"):
        table.add_column(column, justify="left" if column == "reader" else "right")
    rows, faults, total = [], [], Counter[str]()
    for reader in READERS:
        if args.only not in reader.name:
            continue
        found = list(results(reader, 0, count))
        tally = Counter(each.outcome for each in found)
        total += tally
        table.add_row(reader.name, str(len(found)), *(str(tally[outcome]) for outcome in OUTCOMES))
        rows.append({"name": reader.name, "mutants": len(found), **{outcome: tally[outcome] for outcome in OUTCOMES}})
        wrong = [each for each in found if each.outcome == "fault"]
        faults += [{"reader": reader.name, "seed": each.seed, "what": each.what, "fault": each.fault} for each in wrong]
        if args.json:  # after every reader, as all of them take long
            said = {"rows": rows, "faults": faults, "machine": machine(), "command": " ".join(["python", *sys.argv])}
            args.json.write_text(json.dumps(said, indent=2) + "\n")
    table.add_row("all", str(total.total()), *(str(total[outcome]) for outcome in OUTCOMES), style="bold")
    console.print(table)
    for fault in faults[:50]:
        console.print(f"{fault['reader']}, seed {fault['seed']}, {fault['what']}: {fault['fault']}", markup=False)
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
