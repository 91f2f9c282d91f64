"""What the README shows works as it stands there."""

import re
from pathlib import Path

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_the_python_lines_run_and_say_what_they_promise(capsys):
    (program,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    exec(compile(program, "README.md", "exec"), {})
    out = capsys.readouterr().out
    assert "Reached log(1/L) = 300." in out
    assert "predicted masses" in out
    assert "directional_collapse" in out
    assert "provable? feasible" in out


def test_every_file_it_links_to_exists():
    root = Path(__file__).parents[1]
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert links
    assert [link for link in links if not (root / link).exists()] == []
