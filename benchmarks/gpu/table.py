"""The results of a loan as tables of Markdown."""

from typing import Any

from benchmarks.gpu.parts import settings

CLEAR = 1.03
"""A setting that gains less is not worth taking: rounds differ by as much."""


def table(results: dict[str, Any]) -> str:
    """Updates, PyTorch beside them, everything else, and what is not there."""
    done = {name: part["result"] for name, part in results["parts"].items() if part.get("result")}
    device = next((r["device"] for r in done.values() if "device" in r), "no device")
    lines = [f"On {device}" + (", a rehearsal: the figures mean nothing" * results["rehearsal"])]
    lines += _updates(done)
    lines += _peers(done)
    lines += _settings(done)
    lines += _others(done)
    lines += ["", *_not_done(results["parts"])]
    return "\n".join(lines)


def _updates(done: dict[str, Any]) -> list[str]:
    rows = {name: r for name, r in done.items() if "compile_s" in r}
    if not rows:
        return []
    lines = [
        "",
        "| update | precision | batch | ms | events/s | TFLOP/s | first update [s] (compile) "
        "| engine over bare | J/event | GB |",
        "|---" * 10 + "|",
    ]
    for name, r in rows.items():
        resources = r["resources"]
        joules = resources.get("joules_per_event", {}).get("gpu")
        memory = resources.get("peak_device_bytes")
        lines.append(
            f"| {name} | {r['precision']} | {r['batch']} | {r['ms_per_update']:.2f} "
            f"| {r['events_per_second']:,.1f} | {_number(r.get('tflops'), '.1f')} "
            f"| {r['first_update_s']:.1f} ({r['compile_s']:.1f}) "
            f"| {_number(r.get('engine_over_bare'), '.2f')} | {_number(joules, '.3g')} "
            f"| {_number(memory and 1e-9 * memory, '.1f')} |"
        )
    epoch = rows.get("gan3d", {}).get("epoch_s_of_180000_showers")
    if epoch:
        lines += ["", f"An epoch of 180,000 showers at the rate of the engine: {epoch:.1f} s."]
    return lines


def _peers(done: dict[str, Any]) -> list[str]:
    lines = []
    for name in ("gan3d", "mlpf", "tagger"):
        theirs = done.get(f"torch {name}", {})
        for form in ("eager", "compiled"):
            r = theirs.get(form)
            if not r:
                continue
            if "error" in r:
                lines.append(f"| {name} | {form} | {r['error'][:80]} | | |")
                continue
            ratio = ""
            if name in done:
                ratio = f"{done[name]['events_per_second'] / r['events_per_second']:.2f}"
            lines.append(
                f"| {name} | {form} | {r['ms_per_update']:.2f} | {r['events_per_second']:,.1f} "
                f"| {ratio} |"
            )
    head = ["", "| PyTorch | form | ms | events/s | hepjax faster by |", "|---" * 5 + "|"]
    return head + lines if lines else []


def _settings(done: dict[str, Any]) -> list[str]:
    """What each setting that hepjax does not take by itself gains or costs here."""
    lines = []
    for with_it, without, setting in settings():
        ours, theirs = done.get(with_it), done.get(without)
        if not ours or not theirs:
            continue
        for what, gain in _gains(ours, theirs).items():
            says = "take it" if gain >= CLEAR else "no gain"
            lines.append(f"| `{setting}` | {without}{what} | {gain:.2f} | {says} |")
    head = ["", "| setting | measured with | times as fast | |", "|---" * 4 + "|"]
    return head + lines if lines else []


def _gains(ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, float]:
    """How many times as fast the first is: updates and starts, or generation by batch."""
    if "rows" in ours:
        before = {row["batch"]: row["ms_per_shower"] for row in theirs["rows"]}
        now = {row["batch"]: row["ms_per_shower"] for row in ours["rows"]}
        return {f", batch {n}": before[n] / ms for n, ms in now.items() if n in before}
    return {
        "": ours["events_per_second"] / theirs["events_per_second"],
        ", first update": theirs["first_update_s"] / ours["first_update_s"],
    }


def _others(done: dict[str, Any]) -> list[str]:
    lines = [""]
    if ceilings := done.get("ceilings"):
        rates = [f"{k} {v:.3g}" for k, v in ceilings.items() if "/s" in k]
        lines.append(f"Ceilings: {', '.join(rates)}.")
    for name, r in done.items():
        if "profile" in r:
            times = r["profile"]["time_ms"]
            total = sum(times.values()) or 1.0
            shares = ", ".join(
                f"{k} {v / total:.0%}" for k, v in times.items() if v >= 0.005 * total
            )
            lines.append(f"{name}: {r['profile']['bound']} ({shares})")
    for row in done.get("generation", {}).get("rows", []):
        lines.append(
            f"Generation, batch {row['batch']}: {row['ms_per_shower']:.4f} ms a shower, start "
            f"{row['start_up_s']:.1f} s."
        )
    for name, r in done.items():
        if "agrees" in r:
            worst = ", ".join(f"{k} {w['difference']:.1e}" for k, w in sorted(r["worst"].items()))
            says = "agrees" if r["agrees"] else "DOES NOT AGREE"
            lines.append(f"{name}: {says} to {r['limit']:g} ({worst}).")
    for row in done.get("starts", {}).get("rows", []):
        lines.append(
            f"Start of {row['config']}: {row['cold_s']:.1f} s, with kept programs "
            f"{row['warm_s']:.1f} s."
        )
    return lines


def _not_done(parts: dict[str, Any]) -> list[str]:
    lines = []
    for name, part in parts.items():
        if part["status"] == "skipped":
            lines.append(f"- {name}: skipped, {part['why']}")
        elif part["status"] != "done":
            last = part.get("last_lines", [""])[-1:] or [""]
            lines.append(f"- {name}: {part['status']}. {last[0]}".rstrip(". "))
    return lines


def _number(value: float | None, form: str) -> str:
    return "" if value is None else f"{value:{form}}"
