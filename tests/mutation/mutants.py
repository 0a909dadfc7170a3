"""Lists, samples and runs mutants with cosmic-ray; ``run.py`` starts it in the environment that has it.

``python mutants.py sample PLAN.json`` writes the sample, ``python mutants.py run PLAN.json`` runs what the
results file does not hold yet, one mutant at a time; ``again PLAN.json`` runs survivors on given test files.
"""

import ast
import json
import random
import shlex
import sys
import time
from pathlib import Path

from cosmic_ray import plugins
from cosmic_ray.ast import ast_nodes, get_ast_from_path
from cosmic_ray.mutating import mutate_and_test
from cosmic_ray.work_item import MutationSpec, TestOutcome, WorkerOutcome


def places_not_run(source):
    """Spans of annotations: nothing of them runs, or all of it at import, where any mutant dies at once."""
    found = []
    for node in ast.walk(ast.parse(source)):
        for name in ("annotation", "returns"):
            part = getattr(node, name, None)
            if isinstance(part, ast.AST):
                found.append(((part.lineno, part.col_offset), (part.end_lineno, part.end_col_offset)))
    return found


def every_mutant(folder):
    """Every mutant of every module outside annotations, by place: ``(module, line, column) -> [mutant]``."""
    places = {}
    for path in sorted(folder.glob("*.py")):
        skipped = places_not_run(path.read_text())
        tree = get_ast_from_path(path)
        for operator_name in sorted(plugins.operator_names()):
            operator_class = plugins.get_operator(operator_name)
            if operator_class.arguments():
                continue  # those that need a name to put in: nothing to choose it by
            operator = operator_class()
            positions = (span for node in ast_nodes(tree) for span in operator.mutation_positions(node))
            for occurrence, (start, end) in enumerate(positions):
                if any(a <= tuple(start) < b for a, b in skipped):
                    continue
                mutant = [path.name, operator_name, occurrence, list(start), list(end)]
                places.setdefault((path.name, *start), []).append(mutant)
    return places


def sample(plan):
    places = every_mutant(Path(plan["source"]))
    chooser = random.Random(plan["seed"])
    # One mutant of a place: "+" alone has eleven, and the first is hardly ever better than the second.
    chosen = chooser.sample(sorted(places), min(plan["count"], len(places)))
    mutants = [chooser.choice(places[place]) for place in chosen]
    Path(plan["sample"]).write_text(
        json.dumps(
            {
                "places": len(places),
                "mutants": sum(map(len, places.values())),
                "sample": mutants,
            }
        )
    )


class Tests:
    """Which tests to run for a line, quickest first."""

    def __init__(self, plan):
        found = json.loads(Path(plan["map"]).read_text())
        self.seconds, self.files, self.lines = found["tests"], found["files"], found["lines"]
        self.of_file = {}
        for test in self.seconds:
            self.of_file.setdefault(test.split("::")[0], []).append(test)
        self.source = Path(plan["source"])
        # Collection imports a whole test file; seconds are measured under coverage, which slows down.
        self.start_s = 3.0

    def of_line(self, module, line):
        """Tests that run the statement of that line, or any of the module when nothing measured runs it."""
        lines = self.lines.get(module, {})
        names = set()
        for near in self._statement(module, line):
            names.update(lines.get(str(near), ()))
        covered = bool(names)
        if not covered:
            # A default, a constant, a decorator: read when the module is imported, used by what stands around
            # it; if that is the module, by anything in it.
            for near in self._around(module, line):
                names.update(lines.get(str(near), ()))
        if not names:
            for each in lines.values():
                names.update(each)
        tests = set()
        for name in names:
            if "::" in name:
                tests.add(name)
            elif self.of_file.get(name):
                # Runs while the file is imported: its quickest test is enough to import it.
                tests.add(min(self.of_file[name], key=self.seconds.get))
        return covered, sorted(tests, key=lambda t: (self.seconds[t], t))

    def _statement(self, module, line):
        best = (line, line)
        for node in ast.walk(ast.parse((self.source / module).read_text())):
            if isinstance(node, ast.stmt) and node.lineno <= line <= node.end_lineno:
                size = node.end_lineno - node.lineno
                inner = not isinstance(
                    node, ast.FunctionDef | ast.ClassDef | ast.If | ast.For | ast.With | ast.Try | ast.While
                )
                if inner and (best == (line, line) or size < best[1] - best[0]):
                    best = (node.lineno, node.end_lineno)
        return range(best[0], best[1] + 1)

    def _around(self, module, line):
        """The lines of the innermost function or class that a line belongs to; none outside of them."""
        best = None
        for node in ast.walk(ast.parse((self.source / module).read_text())):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
                if first <= line <= node.end_lineno and (best is None or first >= best[0]):
                    best = (first, node.end_lineno)
        return range(best[0], best[1] + 1) if best else ()

    def split(self, tests, first_s, then_s):
        """The quickest of one file that fit into ``first_s``, then the others that fit into ``then_s``.

        One file, as each costs its import, which is more than most tests: the one that has most of them.
        """
        of_file = {}
        for test in tests:
            of_file.setdefault(test.split("::")[0], []).append(test)
        first = []
        for file, found in of_file.items():
            spent, fit = self.files.get(file, 0.0), found[:1]
            for test in found:
                spent += self.seconds[test]
                if spent > first_s:
                    break
                fit = found[: found.index(test) + 1]
            if len(fit) > len(first):
                first = fit
        then, spent = [], 0.0
        for test in tests:
            if test in first:
                continue
            spent += self.seconds[test]
            if spent > then_s:
                break
            then.append(test)
        return first, then


def outcome_of(plan, mutant, tests, cpu_s):
    """What the tests say; one that loops is stopped by processor time, as a busy machine is no loop."""
    module, operator, occurrence, start, end = mutant
    spec = MutationSpec(
        module_path=str(Path(plan["source"]) / module),
        operator_name=operator,
        operator_args={},
        occurrence=occurrence,
        start_pos=tuple(start),
        end_pos=tuple(end),
    )
    limited = ["sh", "-c", f'ulimit -t {round(cpu_s)}; exec "$@"', "sh", *plan["command"], *tests]
    result = mutate_and_test([spec], shlex.join(limited), 200 * cpu_s)
    if result.worker_outcome != WorkerOutcome.NORMAL or result.test_outcome == TestOutcome.INCOMPETENT:
        return "broken", result.output or "", result.diff or ""
    if result.test_outcome == TestOutcome.KILLED:
        ended = any(mark in result.output for mark in ("FAILED", "ERROR", " failed", " error", "Error"))
        return ("killed" if ended else "timeout"), result.output, result.diff
    return "survived", result.output, result.diff


def run(plan):
    results = Path(plan["results"])
    done = set()
    if results.exists():
        done = {tuple(json.loads(row)["mutant"][:3]) for row in results.read_text().splitlines()}
    tests = Tests(plan)
    sampled = json.loads(Path(plan["sample"]).read_text())["sample"]
    for number, mutant in enumerate(sampled, 1):
        if tuple(mutant[:3]) in done:
            continue
        covered, names = tests.of_line(mutant[0], mutant[3][0])
        then_s = plan["then_s"] if covered else plan["then_s"] / 2
        first, more = tests.split(names, plan["first_s"], then_s)
        start = time.perf_counter()
        outcome, output, diff = outcome_of(plan, mutant, first, plan["limit_s"])
        stage = 1
        if outcome == "survived" and more:
            outcome, output, diff = outcome_of(plan, mutant, more, plan["limit_s"] + 2 * then_s)
            stage = 2
        row = {
            "mutant": mutant,
            "outcome": outcome,
            "covered": covered,
            "stage": stage,
            "tests": len(first) + (len(more) if stage == 2 else 0),
            "left": len(names) - len(first) - len(more),
            "seconds": round(time.perf_counter() - start, 1),
            "by": [row for row in (output or "").splitlines() if row.startswith(("FAILED", "ERROR"))][:1],
            "diff": diff,
        }
        if outcome == "broken":
            row["output"] = output[-2000:]
        with results.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(f"{number}/{len(sampled)} {mutant[0]}:{mutant[3][0]} {outcome} {row['seconds']} s", flush=True)


def again(plan):
    """Run who survived on given test files, and note who is killed by them now."""
    results = Path(plan["results"])
    rows = [json.loads(row) for row in results.read_text().splitlines()]
    for row in rows:
        if row["outcome"] == "survived":
            outcome, output, _ = outcome_of(plan, row["mutant"], plan["again"], plan["limit_s"])
            print(row["mutant"][0], row["mutant"][3], outcome, flush=True)
            if outcome != "survived":
                by = [line for line in output.splitlines() if line.startswith(("FAILED", "ERROR"))][:1]
                row |= {"outcome": "killed since", "by": by}
    results.write_text("".join(json.dumps(row) + "\n" for row in rows))


if __name__ == "__main__":
    {"sample": sample, "run": run, "again": again}[sys.argv[1]](json.loads(Path(sys.argv[2]).read_text()))
