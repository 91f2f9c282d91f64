"""Write the table of metrics.md from what the metrics declare: python docs/metrics_table.py"""

from pathlib import Path

from ncollapse.metrics import metric_table

PAGE = Path(__file__).with_name("metrics.md")
BEGIN, END = "<!-- metrics -->\n", "\n<!-- end of metrics -->"

if __name__ == "__main__":
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(before + BEGIN + metric_table() + END + rest.partition(END)[2])
