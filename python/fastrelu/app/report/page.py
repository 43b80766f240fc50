# SPDX-License-Identifier: BSD-3-Clause
"""The page around the sections: its head and its style."""

from __future__ import annotations

from typing import Any

from fastrelu.app.report.markup import Html, element

# Nothing outside the file is ever asked for, whatever a column is called.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"

STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1b2129; --soft: #5a6573;
  --line: #d9dee5; --panel: #f5f7fa; --blue: #0072b2; --blue-rgb: 0 114 178; --orange: #d55e00;
  --orange-rgb: 213 94 0; --green: #00875f; --sky: #56b4e9; }
@media (prefers-color-scheme: dark) { :root { --paper: #12161c; --ink: #e4e8ee; --soft: #9aa5b4;
  --line: #303844; --panel: #1a2028; --blue: #4aa8e8; --blue-rgb: 38 132 199; --orange: #f08a3c;
  --orange-rgb: 214 106 26; --green: #35c496; --sky: #3c7fa8; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 28px 20px 48px; }
h1 { font-size: 1.75rem; line-height: 1.2; margin: 2px 0 6px; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 44px 0 10px; padding-top: 14px; border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 22px 0 8px; }
p, ul { margin: 8px 0; overflow-wrap: anywhere; }
ul { padding-left: 20px; }
.eyebrow { color: var(--soft); font-size: .8rem; letter-spacing: .05em; text-transform: uppercase;
  margin: 0; }
.lead { color: var(--soft); margin: 0 0 18px; }
.soft, figcaption { color: var(--soft); font-size: .87rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; }
.card { background: var(--panel); border: 1px solid var(--line); border-radius: 8px;
  padding: 12px 14px; }
.card.main { border-left: 4px solid var(--blue); }
.card span { display: block; color: var(--soft); font-size: .82rem; }
.card b { display: block; font-size: 1.6rem; line-height: 1.3; font-weight: 650;
  font-variant-numeric: tabular-nums; }
.grid { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr));
  gap: 18px 28px; align-items: start; }
figure { margin: 8px 0; min-width: 0; }
figure svg { max-width: 100%; height: auto; display: block; }
figure svg text { font-family: inherit !important; }
figcaption { margin-top: 4px; }
@media (prefers-color-scheme: dark) { figure svg image { filter: brightness(1.6); } }
.three { grid-template-columns: repeat(auto-fit, minmax(min(100%, 300px), 1fr)); }
.scroll { overflow-x: auto; max-width: 100%; margin: 8px 0; }
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 4px 12px 4px 0; border-bottom: 1px solid var(--line);
  vertical-align: top; unicode-bidi: isolate; }
th { font-weight: 600; color: var(--soft); white-space: nowrap; }
td { max-width: 24rem; overflow-wrap: break-word; }
th.n, td.n { text-align: right; white-space: nowrap; padding: 4px 0 4px 14px; }
.wide { width: 100%; }
.after { padding-left: 22px; }
.confusion { border-collapse: separate; border-spacing: 2px; }
.confusion th, .confusion td { border: 0; padding: 4px 6px; text-align: center; }
.confusion th { white-space: normal; max-width: 18rem; overflow-wrap: break-word; }
.confusion thead th { vertical-align: bottom; }
.confusion tbody th, .confusion td { vertical-align: middle; }
.confusion td { min-width: 2.6em; border-radius: 3px; white-space: nowrap; }
.confusion tbody th { text-align: right; }
.confusion .turned { writing-mode: vertical-rl; transform: rotate(180deg); text-align: left;
  max-height: 15rem; }
.confusion .strong { color: #fff; }
.confusion .none { color: var(--line); }
pre { background: var(--panel); border: 1px solid var(--line); border-radius: 8px;
  padding: 10px 14px; overflow-x: auto; font-size: .87rem; white-space: pre-wrap;
  overflow-wrap: anywhere; }
code, pre { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
details { margin: 8px 0; }
summary { cursor: pointer; color: var(--blue); font-size: .9rem; }
footer { margin-top: 44px; padding-top: 12px; border-top: 1px solid var(--line);
  color: var(--soft); font-size: .82rem; }
@media (max-width: 520px) { main { padding: 18px 14px 32px; } h1 { font-size: 1.4rem; }
  .cards { grid-template-columns: repeat(2, 1fr); } .card b { font-size: 1.3rem; }
  th, th.n { white-space: normal; } th.n, td.n { padding-left: 9px; }
  td:first-child { min-width: 5.5rem; }
  .confusion { border-spacing: 1px; font-size: .75rem; }
  .confusion th, .confusion td { padding: 3px; } .confusion td { min-width: 2.2em; } }
@media print { :root { color-scheme: light; --paper: #fff; --ink: #000; --soft: #444;
  --line: #ccc; --panel: #fff; --blue: #0072b2; --blue-rgb: 0 114 178; --orange: #d55e00;
  --orange-rgb: 213 94 0; --green: #00875f; --sky: #56b4e9; }
  figure svg image { filter: none !important; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  main { max-width: none; padding: 0; } body { font-size: 10.5pt; } .scroll { overflow: visible; }
  .grid { grid-template-columns: 1fr 1fr; } .three { grid-template-columns: 1fr 1fr 1fr; }
  figure, .card, .confusion, tr, pre { break-inside: avoid; } h2, h3 { break-after: avoid; } }
"""


def page(title: str, sections: list[Any]) -> str:
    """Return the whole document."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("title", title),
        element("style", Html(STYLE)),
    )
    body = element("body", element("main", *sections))
    return "<!DOCTYPE html>\n" + element("html", head, body, lang="en") + "\n"
