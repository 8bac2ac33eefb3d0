"""Examples of every verb, the end of its ``--help``; each can be typed as it is."""

EXAMPLES: dict[str, tuple[tuple[str, str], ...]] = {
    "data": (
        ("data get calochallenge-1-photons", "fetch and check a public set"),
        ("data get zjets --files 'Herwig*_0.npz' --mirror /data/public", "some files, from here"),
    ),
    "simulate": (
        ("simulate showers --events 4000 --energy 10:100 --out data/train", ""),
        ("simulate jets --task top --events 1600 --out data/jets", ""),
    ),
    "inspect": (("inspect data/train --plot showers.png", "what is in files, and a picture"),),
    "pack": (
        ("pack data/train --out data/packed", ""),
        ("pack jets/*.parquet --out packed --channels pT,ECAL,HCAL --labels 0=quark,1=gluon", ""),
    ),
    "train": (
        ("train gan3d/demo 'data.files=[data/train]' train.epochs=3 --run runs/a", ""),
        ("train gan3d/demo --run runs/a", "the same command again resumes"),
    ),
    "tune": (
        (
            "tune gan3d/demo 'data.files=[data/train]' --space s.yaml --trials 20 --out studies/a",
            "",
        ),
    ),
    "repeat": (("repeat tagger/demo 'data.files=[data/jets]' --seeds 5 --out studies/seeds", ""),),
    "active": (("active toy/2d --points 40 --out studies/contour", ""),),
    "evolve": (
        ("evolve --data data/train --events 3000 --out studies/evolution", ""),
        ("evolve --data data/train --seeds 3 --rivals --out studies/rivals", "beside CMA-ES"),
    ),
    "evaluate": (
        ("evaluate runs/a --out report", "report page and scores.json"),
        ("evaluate --reference g4.h5 --generated mine.h5 --out report", "any two files of showers"),
    ),
    "predict": (
        ("predict runs/tagger --data data/jets --out scores.parquet", ""),
        ("predict runs/tagger --data data/jets --out scores.root", "a ROOT tree, for uproot"),
    ),
    "generate": (
        ("generate runs/a --events 1000 --energy 10:100 --out showers.h5", "as published"),
        ("generate runs/a --events 1000 --out showers.root", "a ROOT tree, for uproot"),
    ),
    "export": (("export runs/a --format onnx --out model.onnx", ""),),
    "serve": (("serve runs/a --http 8000", ""),),
    "profile": (("profile gan3d/demo 'data.files=[data/train]'", "where an update's time goes"),),
    "bench": (("bench gan3d --events 2000 --out bench", ""),),
    "launch": (
        ("launch local -n 2 -- train gan3d/demo 'data.files=[data/train]' --run runs/a", "here"),
        (
            "launch slurm --nodes 4 --gpus-per-node 4 -- train gan3d/published --run runs/a",
            "prints sbatch ...",
        ),
    ),
    "doctor": (("doctor", ""), ("doctor --data data/train", "events read a second")),
    "runs": (
        ("runs runs", "a table of the runs below a folder"),
        ("runs runs --page compared", "with their curves"),
    ),
    "rates": (("rates gan3d/demo 'data.files=[data/train]' --out studies/rates", ""),),
    "clean": (
        ("clean runs", "says what could go"),
        ("clean runs --yes", "removes it"),
    ),
    "completion": (("completion bash > ~/.local/share/bash-completion/completions/hepjax", ""),),
}
"""By verb: what is typed after ``hepjax``, and a remark."""


def epilog(verb: str) -> str:
    """The examples of a verb as the end of its help; empty without."""
    lines = []
    for typed, remark in EXAMPLES.get(verb, ()):
        lines.append(f"  hepjax {typed}" + (f"    # {remark}" if remark else ""))
    return "\n".join([f"example{'s' if len(lines) > 1 else ''}:", *lines]) if lines else ""
