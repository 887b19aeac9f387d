"""`exchange`: what operators type. One file per noun; no logic of its own; French or English by the locale."""

from __future__ import annotations

import typer

from exchange.cli import (
    agreement,
    audience,
    brake,
    flow,
    inquiry,
    ledger,
    links,
    look,
    node,
    quarantine,
    review,
    show,
    subscriber,
    usage,
)
from exchange.cli.terminal import say

app = typer.Typer(help=say("cli.help"), no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.command("init", help=say("cli.init.help"))(node.init)
app.command("check", help=say("cli.check.help"))(node.check)
app.command("migrate", help=say("cli.migrate.help"))(node.migrate)
app.command("run", help=say("cli.run.help"))(node.run)
app.command("sync", help=say("cli.sync.help"))(flow.sync)
app.command("probe", help=say("cli.probe.help"))(inquiry.probe)
app.command("reconcile", help=say("cli.reconcile.help"))(inquiry.reconcile)
app.command("import", help=say("cli.import.help"))(flow.import_)
app.command("peers", help=say("cli.peers.help"))(look.peers)
app.command("show", help=say("cli.show.help"))(show.show)
app.command("why", help=say("cli.why.help"))(look.why)
app.command("audience", help=say("cli.audience.help"))(audience.audience)
app.command("pause", help=say("cli.pause.help"))(brake.pause)
app.command("resume", help=say("cli.resume.help"))(brake.resume)
app.add_typer(agreement.app, name="agreement", help=say("cli.agreement.help"))
app.add_typer(subscriber.app, name="subscriber", help=say("cli.subscriber.help"))
app.command("register", help=say("cli.register.help"))(ledger.register)
app.add_typer(ledger.app, name="ledger", help=say("cli.ledger.help"))
app.add_typer(links.app, name="links", help=say("cli.links.help"))
app.add_typer(quarantine.app, name="quarantine", help=say("cli.quarantine.help"))
app.add_typer(review.app, name="review", help=say("cli.review.help"))
usage.speak(app)


def main() -> None:
    """The command's entry point."""
    usage.run(app)
