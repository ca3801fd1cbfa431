"""The text of law.md, from the numbers of law.json."""

from typing import Any

PUBLISHED = {"25": (0.00376, 0.00409), "100": (0.00435, 0.00583), "400": (0.00484, 0.00995)}  # mean and worst errors
GOAL = 2.5332  # the loss of the published schedule of 24,000 steps for 400M

_HEAD = """# Does a law predict the loss from the schedule?

`lrsched.lab.fit_law` fits a law of the loss to two or three runs, predicts the curve of any other schedule, and moves the
numbers of a schedule to the least predicted loss. `python -m benchmarks.law --data FOLDER` measures how well, and writes this
file.
"""


def text(kept: dict[str, Any]) -> str:
    """The report, with the parts that were measured."""
    parts = [_published(kept["published"])] if "published" in kept else ["The published curves are not available."]
    own = {name: found for name, found in kept.items() if name != "published"}
    return "\n".join([_HEAD, *parts, *(_own(name, found) for name, found in own.items()), _limits(own)])


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _against(figure: float, goal: float) -> str:
    return f"{figure:.5f}" + ("" if round(figure, 5) <= goal else ", missed")


def _published(found: dict[str, Any]) -> str:
    sizes = found["sizes"].items()
    rows = [
        [
            f"{size}M",
            _against(one["multi-power"]["mae"], PUBLISHED[size][0]),
            f"{PUBLISHED[size][0]:.5f}",
            _against(one["multi-power"]["worst"], PUBLISHED[size][1]),
            f"{PUBLISHED[size][1]:.5f}",
            f"{one['momentum']['mae']:.5f}",
            f"{one['momentum']['worst']:.5f}",
            f"{one['seconds'][1]:.1f} ({one['seconds'][0]:.1f})",
        ]
        for size, one in sizes
    ]
    curves = [
        [f"{size}M, {kind}", *(f"{x:.4f}" for x in one[kind]["curves"].values())]
        for size, one in sizes
        for kind in ("multi-power", "momentum", "published")
    ]
    names = list(next(iter(found["sizes"].values()))["multi-power"]["curves"])
    designs = [
        [
            f"{size}M, {kind}",
            *(f"{x['loss as published']:.4f}" for x in one["designs"][kind].values()),
            f"{max(x['seconds'][1] for x in one['designs'][kind].values()):.1f}",
        ]
        for size, one in sizes
        for kind in ("published", "fitted")
    ]
    given = found["sizes"]["400"]["designs"]["published"]
    best = given["monotone"]["loss as published"]
    family = min(x["loss as published"] for name, x in given.items() if name.startswith("wsd"))
    return f"""## On the published curves of language models

Llama models of 25M, 100M and 400M parameters (Luo et al., 2025, arXiv 2503.12811). The fit sees `cosine_24000`,
`constant_24000` and `wsdcon_9`; the errors are means over the six other curves. The weight of the prior was chosen by
predicting each of the three from the two others, and the end of each from its begin; no test curve chose anything.
Measured on {found["date"]} on {found["machine"]["cores"]} cores that other work shared: seconds are those of the processors,
compilation included, and in brackets those of the clock.

{
        _table(
            [
                "model",
                "mean error",
                "published",
                "worst relative error",
                "published",
                "momentum law: mean",
                "worst",
                "fit, s",
            ],
            rows,
        )
    }
The mean absolute error of each curve, with the parameters of this fit, of the momentum law, and as published:

{_table(["", *names], curves)}
Where a mean is missed, `cosine_72000` is predicted too low, which is three times as long as any fitted run. The published
parameters follow the end of the fitted decays less closely, with errors up to 0.016. That helps there, and costs on the other
curves. Held-out training curves do not favour that.

### A schedule of 24,000 steps

The predicted final loss under the published parameters and under the fit, without the rise in the warm-up, as the paper
counts it: of the best table that does not rise (32 points), of `wsd` with two free numbers, with a line and with 1-sqrt as its
decay, and of two cosines. The published schedule for 400M has {GOAL}; the table has {best:.4f}, and two numbers {family:.4f}.

{_table(["", *given, "longest search, s"], designs)}"""


def _own(name: str, found: dict[str, Any]) -> str:
    short, long = found["steps"]
    errors = [
        [
            key,
            f"{first:.3f} to {last:.3f}",
            f"{found['errors']['curves'][key]:.4f}",
            f"{found['momentum']['curves'][key]:.4f}",
            f"{found['ends'][key][0]:.4f}",
            f"{found['ends'][key][1]:.4f}",
        ]
        for key, (first, last) in found["losses"].items()
    ]
    gains = [
        [
            key,
            *(f"{x:.4f}" for x in found["designed ends"][key]),
            *(
                ""
                if key == rival
                else f"{found['gains'][rival][key][0]:+.4f} [{found['gains'][rival][key][1]:+.4f}, "
                f"{found['gains'][rival][key][2]:+.4f}]"
                for rival in found["gains"]
            ),
        ]
        for key in found["designed ends"]
    ]
    designs = "\n".join(f"- {key}: `{x if len(x) < 300 else x[:297] + '...'}`" for key, x in found["designs"].items())
    return f"""## On the workload {name}

{found["description"][0].upper() + found["description"][1:]}.
The fit sees three runs of {short} steps, the mean over {found["seeds"][0]} seeds of the loss on the validation split.
The others are predicted, the longer ones over {long} steps. Peak {found["peak"]:g}. Measured on {found["date"]}.
Mean error {found["errors"]["mae"]:.4f}, worst relative error {found["errors"]["worst"]:.4f}; of the momentum law
{found["momentum"]["mae"]:.4f} and {found["momentum"]["worst"]:.4f}.

```
{found["law"]}
```

{_table(["schedule", "its losses", "mean error", "momentum law", "end, predicted", "end, measured"], errors)}
Then schedules of {long} steps were designed with the law, and trained from {found["seeds"][1]} seeds beside others. One has
twice the peak, for a cosine often likes a higher one; the law says nothing of that. The gain is the difference of the test
score ({found["score"]}), seed by seed, with its 95 % interval: above 0, the schedule is better.

{_table(["schedule", "loss, predicted", "loss, measured", *(f"against {rival}" for rival in found["gains"])], gains)}
{designs}
"""


def _limits(own: dict[str, Any]) -> str:
    measured = "; ".join(f"{name}: {found['errors']['worst']:.1%}" for name, found in own.items())
    return f"""## Where the law fails

- The worst relative errors, of small models and few steps: {measured or "not measured"}. The means over the curves of
  the language models are below 0.7 %.
- It says nothing of another peak, batch size, optimizer or model than those of its runs; `optimize` keeps to their highest
  rate.
- A horizon of three times the fitted one adds most of the error, through the slow tail of a decay: see `cosine_72000`.
- It needs a loss that falls. Where a model overfits, the validation loss has a minimum that no law of this form has; digits,
  with momentum SGD, comes close to that, and is predicted too low.
- It knows no instability: a rate that diverges is as good as its sum, and a warm-up is a loss of time. Do not free the
  warm-up.
- The first steps after the warm-up follow the law least.
"""
