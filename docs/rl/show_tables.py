"""Print what Espalier makes of four small tables: the line that a run says, the prompt, and the reference answer."""

import asyncio
import tempfile
from pathlib import Path

from espalier.core.data import DataRoot
from espalier.envs.adapters.table import Table, TableConfig

TABLES = {
    "gsm8k.jsonl": '{"question": "Tom has 3 pens and buys 4. How many now?", "answer": "3+4=<<3+4=7>>7\\n#### 7"}\n',
    "quiz.csv": "question,A,B,C,answer\nWhat barks?,a cat,a dog,a fish,B\n",
    "arc.json": '[{"question": "What barks?", "choices": {"text": ["cat", "dog"], "label": [1, 2]}, "answerKey": 2}]',
    "chat.jsonl": '{"messages": [{"role": "user", "content": "Peru?"}, {"role": "assistant", "content": "Lima"}]}\n',
}

with tempfile.TemporaryDirectory() as folder:
    for name, content in TABLES.items():
        heldout = Path(folder) / f"heldout_{name}"
        (Path(folder) / name).write_text(content)
        heldout.write_text(content.replace("Tom", "Ann").replace("barks", "swims").replace("Peru", "Chile"))
        tasks = Table(TableConfig(path=Path(folder) / name, heldout_path=heldout), 0, DataRoot(None), print)
        task = tasks.task("train", 0)
        (prompt,) = asyncio.run(tasks.env(task).reset(task))
        print(f"    {prompt.content!r} -> {task.answer}")
