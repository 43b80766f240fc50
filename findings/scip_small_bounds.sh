#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# SCIP takes a variable whose bounds are 1e-10 apart for one number, and calls the result optimal.
#
# Expected: maximize y over y = x / b, -b <= x <= b, -2 <= y <= 2 has the optimum 1 for every b > 0; a solver
#   that cannot tell such bounds apart at its tolerances says so, or returns a status other than optimal.
# Seen (PySCIPOpt 6.3.0 with SCIP 10.0): 1 for b = 1e-6 and 1e-8; for b = 1e-10 and 1e-12 the status is
#   "optimal" and the value 0. HiGHS 1.16.0 finds 1 for all of them.
# Why: numbers closer than numerics/epsilon (1e-9) are equal to SCIP, so presolving fixes x to 0, and the
#   large coefficient is not looked at.
# What it means: a model of a network whose inputs or units are small (1e-10) has to be scaled before it is
#   given to a solver; fastrelu's to_milp does that (docs/bounds.md).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q PySCIPOpt==6.3.0 highspy==1.16.0
"$folder/venv/bin/python" - <<'PYTHON'
import highspy
from pyscipopt import Model


def by_scip(bound):
    model = Model()
    model.hideOutput()
    x = model.addVar("x", lb=-bound, ub=bound)
    y = model.addVar("y", lb=-2, ub=2)
    model.addCons(y == x * (1 / bound))
    model.setObjective(y, "maximize")
    model.optimize()
    return model.getStatus(), round(model.getObjVal(), 6)


def by_highs(bound):
    model = highspy.Highs()
    model.silent()
    x, y = model.addVariable(-bound, bound), model.addVariable(-2, 2)
    model.addConstr(y == x * (1 / bound))
    model.maximize(y)
    return round(model.getObjectiveValue(), 6)


print("SCIP", Model().version(), "- expected: optimal, 1 each time")
seen = {}
for bound in (1e-6, 1e-8, 1e-10, 1e-12):
    seen[bound] = by_scip(bound)
    print(f"bounds +-{bound:g}: SCIP {seen[bound]}, HiGHS {by_highs(bound)}")
    assert by_highs(bound) == 1
assert seen[1e-6] == seen[1e-8] == ("optimal", 1.0), "changed: small bounds are no longer right"
assert seen[1e-10] == seen[1e-12] == ("optimal", 0.0), "changed: SCIP tells such bounds apart now"
PYTHON
echo "as described"
