"""``hepjax completion``: scripts that complete verbs, options and names in a shell."""

import argparse
import importlib
import shlex
from collections.abc import Iterator

CONFIGURED = ("train", "tune", "repeat", "rates", "profile")
"""Verbs whose first argument is a configuration."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``completion``."""
    parser.add_argument("shell", choices=["bash", "zsh", "fish"], help="for which shell")


def run(args: argparse.Namespace) -> int:
    """Print the script."""
    print({"bash": _bash, "zsh": _zsh, "fish": _fish}[args.shell](words()))
    return 0


def words() -> dict[str, list[str]]:
    """What may follow each beginning of a command: ``""``, ``data``, ``data get``, ..."""
    from hepjax.cli import VERBS
    from hepjax.engine.settings import config_names
    from hepjax.formats.catalogue.sets import catalogue

    found = {"": [*VERBS, "--help", "--version"]}
    for verb in VERBS:
        parser = argparse.ArgumentParser(prog=verb)
        parser.add_argument("--debug", action="store_true")
        importlib.import_module(f"hepjax.cli.{verb}").add_arguments(parser)
        found |= dict(_of(parser, verb))
        if verb in CONFIGURED:
            found[verb] += config_names()
    for action in ("data show", "data get"):
        found[action] += list(catalogue())
    return found


def _of(parser: argparse.ArgumentParser, prefix: str) -> Iterator[tuple[str, list[str]]]:
    options: list[str] = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            options += action.choices
            for name, inner in action.choices.items():
                yield from _of(inner, f"{prefix} {name}")
        elif action.help != argparse.SUPPRESS:
            options += [text for text in action.option_strings if text.startswith("--")]
            if not action.option_strings and action.choices:
                options += map(str, action.choices)
    yield prefix, options


def _bash(known: dict[str, list[str]]) -> str:
    cases = "\n".join(
        f"    {shlex.quote(before)}) words={shlex.quote(' '.join(after))} ;;"
        for before, after in known.items()
    )
    return f"""# Completion of hepjax for bash: save it where bash-completion looks, or source it.
_hepjax() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} words='' before='' word
  for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
    case $word in -*) ;; *) [[ -z $before ]] && before=$word || before="$before $word" ;; esac
  done
  while true; do
    case $before in
{cases}
    esac
    [[ -n $words || -z $before ]] && break
    case $before in *' '*) before=${{before% *}} ;; *) before='' ; break ;; esac
  done
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o default -F _hepjax hepjax  # files, where no word fits"""


def _zsh(known: dict[str, list[str]]) -> str:
    return f"autoload -U +X bashcompinit && bashcompinit\n{_bash(known)}"


def _fish(known: dict[str, list[str]]) -> str:
    from hepjax.cli import VERBS

    lines = ["# Completion of hepjax for fish: save it as ~/.config/fish/completions/hepjax.fish"]
    for verb, summary in VERBS.items():
        lines.append(
            f"complete -c hepjax -n __fish_use_subcommand -a {verb} -d {shlex.quote(summary)}"
        )
    for before, after in known.items():
        if not before:
            continue
        seen = " ".join(f"-n '__fish_seen_subcommand_from {word}'" for word in before.split())
        options = [f"-l {word[2:]}" for word in after if word.startswith("--")]
        names = " ".join(word for word in after if not word.startswith("--"))
        lines += [f"complete -c hepjax {seen} {option}" for option in options]
        if names:
            lines.append(f"complete -c hepjax {seen} -a {shlex.quote(names)}")
    return "\n".join(lines)
