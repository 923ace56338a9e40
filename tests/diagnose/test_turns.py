"""Which turn of the loop a line belongs to, and the diff that makes it rarer."""

from __future__ import annotations

from pathlib import Path

from slowprobe.diagnose.turns import beside, loop_that_calls, rarer, turn_of
from slowprobe.run.reader import RunRecords
from slowprobe.run.record import Site
from slowprobe.run.schema import Manifest, Source
from slowprobe.timeline.sources import SourceText

FILE = "/home/someone/train.py"


def source_of(text: str) -> SourceText:
    manifest = Manifest(
        schema="",
        slowprobe_version="",
        command=[],
        script="",
        mode="profile",
        origin_ns=0,
        started_at="",
        pid=0,
        cwd="",
        python="",
        prefixes=[],
        host={},
    )
    return SourceText(RunRecords(Path("/nowhere"), manifest, [Source(file=FILE, text=text)]))


def site(text: str, fragment: str, function: str = "main") -> Site:
    return Site(FILE, next(n for n, line in enumerate(text.splitlines(), 1) if fragment in line), function)


RANGE = """\
def main():
    for step in range(100):
        loss.backward()
        optimizer.step()
        log.info("a")
        # and
        print("b")
"""


def test_statements_side_by_side_go_under_one_condition():
    source = source_of(RANGE)
    assert rarer(source, [site(RANGE, "print"), site(RANGE, "log.info")], 50) == (
        '-log.info("a")\n-print("b")\n+if step % 50 == 0:\n+    log.info("a")\n+    print("b")'
    )


def test_the_interval_that_is_there_is_raised():
    text = RANGE.replace('log.info("a")', "if step % 2 == 0 and step:\n            torch.save(state, path)")
    assert rarer(source_of(text), [site(text, "torch.save")], 30) == (
        "-if step % 2 == 0 and step:\n+if step % 60 == 0 and step:"
    )


HELPER = """\
def save(path):
    state = model.state_dict()
    torch.save(state, path)


def main():
    for epoch in range(3):
        for features, labels in loader:
            loss.backward()
            optimizer.step()
            save("x")
"""


def test_a_helper_is_called_less_often_and_the_loop_gets_a_counter():
    source = source_of(HELPER)
    turn = turn_of(source, site(HELPER, "torch.save", "save"))
    assert turn is not None and turn.called and turn.site == Site(FILE, 11, "main")
    assert rarer(source, [site(HELPER, "torch.save", "save")], 20) == (
        '-for features, labels in loader:\n-    save("x")\n'
        '+for step, (features, labels) in enumerate(loader):\n+    if step % 20 == 0:\n+        save("x")'
    )


def test_counters_of_all_kinds():
    def header(loop: str, body: str = "") -> str:
        text = f"{loop}\n    loss.backward()\n    print('x')\n{body}"
        return rarer(source_of(text), [site(text, "print")], 50)

    assert "+if i % 50 == 0:" in header("for i, batch in enumerate(tqdm(loader)):")
    assert "+if it % 50 == 0:" in header("for it in trange(9):")
    assert "+if self.done % 50 == 0:" in header("while True:", "    self.done += 1\n")
    assert "+    if step % 50 == 0:" in header("for a, b in zip(range(3), loader):")


INNER = """\
def main():
    for step in range(100):
        loss.backward()
        for name, weight in model.named_parameters():
            writer.add_histogram(name, weight, step)
"""


def test_an_inner_loop_goes_under_the_condition_as_a_whole():
    assert rarer(source_of(INNER), [site(INNER, "add_histogram")], 50) == (
        "-for name, weight in model.named_parameters():\n-    writer.add_histogram(name, weight, step)\n"
        "+if step % 50 == 0:\n+    for name, weight in model.named_parameters():\n"
        "+        writer.add_histogram(name, weight, step)"
    )


APART = """\
def train_step(batch):
    loss.backward()
    optimizer.step()


def evaluate():
    for batch in test_loader:
        model(batch)


def train_epoch():
    for step, batch in enumerate(loader):
        train_step(batch)
        print("step")
    print("epoch")


def main():
    for epoch in range(3):
        train_epoch()
        evaluate()
"""


def test_a_loop_that_trains_through_a_function_is_known():
    source = source_of(APART)
    assert rarer(source, [site(APART, 'print("step")', "train_epoch")], 50).endswith(
        '+if step % 50 == 0:\n+    print("step")'
    )
    assert rarer(source, [site(APART, "model(batch)", "evaluate")], 4) == (
        "-evaluate()\n+if epoch % 4 == 0:\n+    evaluate()"
    )


def test_nothing_that_trains_is_ever_done_less_often():
    for fragment, function in (("loss.backward", "train_step"), ('print("epoch")', "train_epoch")):
        assert "train" not in rarer(source_of(APART), [site(APART, fragment, function)], 9)


def test_unknown_source_and_heads_of_loops_give_no_diff():
    assert rarer(source_of(""), [site(RANGE, "print")], 50) == ""
    assert rarer(source_of("for batch in tqdm(loader):\n    loss.backward()\n"), [Site(FILE, 1, "main")], 5) == ""
    assert rarer(source_of("for x in (:\n"), [Site(FILE, 1, "main")], 5) == ""


def test_beside_is_the_block_of_the_statement():
    text = "for a in b:\n    c()\n    if d:\n        e()\n        f()\n    g()\n"
    assert beside(source_of(text), Site(FILE, 5, "")) == [(4, 4), (5, 5)]
    assert beside(source_of(text), Site(FILE, 2, "")) == [(2, 2), (3, 5), (6, 6)]


STEP = """\
class Trainer:
    def fit(self):
        for epoch in range(3):
            for batch in self.loader:
                self.train_step(batch)
    def train_step(self, batch):
        loss = self.model(batch)
        loss.backward()
        self.optimizer.step()
        for name in self.metrics:
            name.update(loss)
def warm_up():
    model(batch).backward()
    print("warm")
"""


def test_a_function_that_is_one_step_stands_for_the_loop_that_calls_it():
    turn = turn_of(source_of(STEP), site(STEP, "name.update", "train_step"))
    assert turn is not None and turn.trains and (turn.site.line, turn.function) == (10, "train_step")
    assert turn_of(source_of(STEP), site(STEP, "loss.backward", "train_step")) is None
    elsewhere = turn_of(source_of(STEP), site(STEP, "print", "warm_up"))
    assert elsewhere is not None, "what nothing in the file calls, another file's loop may"
    called_once = STEP + "warm_up()\n"
    assert turn_of(source_of(called_once), site(called_once, "print", "warm_up")) is None


CALLBACK = """\
def eval_split(split):
    loader = DataLoader(dataset)
    for x in loader:
        model.generate(x)
def batch_end(trainer):
    if trainer.iter_num % 500 == 0:
        eval_split("test")
trainer.set_callback("on_batch_end", batch_end)
trainer.run()
"""


def test_a_callback_leads_to_the_condition_it_stands_under():
    source = source_of(CALLBACK)
    turn = turn_of(source, site(CALLBACK, "DataLoader", "eval_split"))
    assert turn is not None and turn.site.line == 6 and not turn.trains
    assert rarer(source, [site(CALLBACK, "generate")], 6) == (
        "-if trainer.iter_num % 500 == 0:\n+if trainer.iter_num % 3000 == 0:"
    )


def test_an_interval_with_a_name_is_raised():
    text = RANGE.replace('log.info("a")', "if step % args.every == 0:\n            torch.save(state, path)")
    assert rarer(source_of(text), [site(text, "torch.save")], 30) == (
        "-if step % args.every == 0:\n+if step % (30 * args.every) == 0:"
    )


ROLLOUT = """\
def act(state):
    return Categorical(policy(state)).sample()
def finish():
    loss.backward()
    optimizer.step()
def main():
    for episode in range(100):
        for t in range(1000):
            state = env.step(act(state))
        finish()
"""


EPOCH = """\
def train_epoch():
    for batch in loader:
        losses.append(imported_step(batch))
    scheduler.step()
def main():
    for epoch in range(3):
        train_epoch()
"""


def test_an_epoch_with_a_scheduler_is_no_step():
    turn = turn_of(source_of(EPOCH), site(EPOCH, "imported_step", "train_epoch"))
    assert turn is not None and (turn.site.line, turn.trains) == (3, False)


def test_what_a_step_answers_with_is_not_to_be_left_out():
    answering = STEP.replace(
        "        for name in self.metrics:\n            name.update(loss)\n", "        return acc(loss)\n"
    )
    assert turn_of(source_of(answering), site(answering, "return acc", "train_step")) is None


def test_a_step_in_a_function_is_counted_by_what_outlives_it():
    counted = STEP.replace(
        "        loss.backward()\n", "        loss.backward()\n        hits = 0\n        hits += 1\n", 1
    )
    assert "+if step % 50 == 0:" in rarer(source_of(counted), [site(counted, "name.update", "train_step")], 50)
    counted = counted.replace("hits", "self.steps")
    assert "+if self.steps % 50 == 0:" in rarer(source_of(counted), [site(counted, "name.update", "train_step")], 50)


def test_the_loop_inside_a_step_that_calls_a_function():
    assert loop_that_calls(source_of(ROLLOUT), FILE, 2) == ((8, 9), (1, 2))
    assert loop_that_calls(source_of(ROLLOUT), FILE, 4) is None, "this loop trains: the function runs once a step"
    methods = ROLLOUT.replace("act(state))", "agent.act(state))")
    assert loop_that_calls(source_of(methods), FILE, 2) is None, "the method of an object may be another's"
