"""`HighDimConfig`: every parameter of a run, with its meaning, unit of measure, range and effect on privacy.

The first six names are those of the Synthesized SDK's differential-privacy page. Each trait carries the texts
from which the panel, the magics' options, their help, `%config` and the documentation are generated, so that
there is one place where a parameter is described. The tag `effect` says in a few words which direction is
more private, and the tag `unit` is the unit of measure.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, fields
from typing import Any

from traitlets import Bool, Enum, HasTraits, TraitError

from jupyter_dpsynth.errors import ConfigError, did_you_mean, shown
from jupyter_dpsynth.parameters import Analyses, ColumnName, NamedTables, Number, crossed, formulas, pairs_of

__all__ = ["ONE_ROW", "HighDimConfig", "ResolvedConfig"]

AUTO = "auto"
ONE_ROW = "one row"


class HighDimConfig(HasTraits):
    """Parameters of `HighDimSynthesizer.learn`.

    Args:
        **parameters: Any of the traits below, by name.

    Raises:
        ConfigError: An unknown name, a wrong type or a value out of range; the message says what is
            allowed.

    Example:
        >>> config = HighDimConfig(epsilon=0.5)
        >>> config.noise_multiplier = 1.3
        >>> config.epsilon, config.noise_multiplier
        (0.5, 1.3)
    """

    differential_privacy = Bool(
        default_value=True,
        help="Train with differential privacy. False trains without noise: epsilon is then infinite, and "
        "there is no guarantee.",
    ).tag(
        label="Differential privacy",
        group="privacy",
        affects_privacy=True,
        effect="off: no guarantee at all",
    )
    epsilon = Number(
        1.0,
        low=0,
        high=100,
        open_low=True,
        hint=" Smaller is more private; for no guarantee at all set differential_privacy = False.",
        help="Privacy budget: how much everything that is released may reveal about one row (or one person, "
        "with privacy_unit). Smaller is more private and less accurate; 0.1 to 10 is usual.",
    ).tag(
        label="Epsilon",
        unit="logarithm of a ratio of probabilities",
        group="privacy",
        affects_privacy=True,
        effect="smaller: more privacy; larger: more accuracy",
    )
    delta = Number(
        None,
        low=0,
        high=0.5,
        open_low=True,
        unset=(None,),
        hint=" It should be well below 1 / number of rows.",
        help="Probability with which the epsilon bound may fail. None uses 1 / (10 x noisy row count).",
    ).tag(
        label="Delta",
        unit="probability",
        group="privacy",
        affects_privacy=True,
        effect="smaller: more privacy; empty: automatic, right for nearly everybody",
    )
    noise_multiplier = Number(
        None,
        low=0,
        high=1e4,
        open_low=True,
        unset=(None,),
        hint=" To train without noise set differential_privacy = False.",
        help="Standard deviation of the training noise divided by the clipping norm. None computes it from "
        "epsilon; with a number, training ends at the last step that epsilon allows.",
    ).tag(
        label="Noise multiplier",
        unit="clipping norms",
        group="privacy",
        affects_privacy=True,
        effect="larger: more privacy; empty: as much as epsilon needs",
    )
    l2_norm_clip = Number(
        AUTO,
        low=0,
        high=1e6,
        open_low=True,
        unset=(AUTO, None),
        help="Clipping norm: the largest L2 norm that one row's gradient (or one microbatch's, if those are "
        "set) may have. 'auto' computes it from the measured shares of each column (one-way marginals). It "
        "does not change epsilon.",
    ).tag(
        label="Clipping norm",
        unit="norm of a gradient",
        group="privacy",
        affects_privacy=False,
        effect="no effect on epsilon; empty: computed from the measured columns",
        empty="measured",
    )
    num_microbatches = Number(
        None,
        low=1,
        high=1e6,
        integer=True,
        unset=(None,),
        hint=" None, one row per microbatch, is recommended.",
        help="Number of groups into which a batch is split before clipping. None clips each row by itself. "
        "A number costs privacy: one row changes the mean of its group by twice as much, so epsilon is "
        "computed as if the noise were half as large.",
    ).tag(
        label="Microbatches",
        unit="groups in a batch",
        group="privacy",
        affects_privacy=True,
        effect="a number costs privacy; leave empty",
        empty="none",
    )
    batch_size = Number(
        AUTO,
        low=1,
        high=1e8,
        integer=True,
        unset=(AUTO,),
        help="Expected number of rows in a training step (each step draws a Poisson sample). 'auto' chooses "
        "it large enough that sampling adds no noticeable error.",
    ).tag(
        label="Batch size",
        unit="rows",
        group="training",
        affects_privacy=True,
        effect="larger: steadier and slower; empty: as large as is useful",
    )
    steps = Number(
        AUTO,
        low=1,
        high=1e6,
        integer=True,
        unset=(AUTO,),
        help="Number of training steps; more steps mean more noise in each. 'auto' is 200. "
        "In a table of 100 columns it is 100, of 167 and more 60. In one table with `privacy_unit`, and with "
        "`num_microbatches`, it is twice as many.",
    ).tag(
        label="Steps",
        unit="steps",
        group="training",
        affects_privacy=True,
        effect="more: longer training with more noise in each step",
    )
    epochs = Number(
        AUTO,
        low=0,
        high=1e5,
        open_low=True,
        unset=(AUTO,),
        help="Length of training, as the expected number of passes over the table. Give this or steps, not "
        "both.",
    ).tag(
        label="Epochs",
        unit="passes over the table",
        group="training",
        affects_privacy=True,
        effect="instead of steps: how often each row is expected to be used",
    )
    learning_rate = Number(
        AUTO,
        low=0,
        high=10,
        open_low=True,
        unset=(AUTO,),
        help="Peak learning rate of Adam. 'auto' chooses from the noisy row count and epsilon.",
    ).tag(
        label="Learning rate",
        unit="per step",
        group="training",
        affects_privacy=False,
        effect="no effect on epsilon",
    )
    num_bins = Number(
        AUTO,
        low=2,
        high=256,
        integer=True,
        unset=(AUTO,),
        help="Size of the model: number of bins into which a number or date is divided. 'auto' chooses from "
        "the noisy row count and epsilon.",
    ).tag(
        label="Bins per number",
        unit="bins",
        group="model",
        affects_privacy=False,
        effect="more: finer numbers, but more noise in each bin",
    )
    n_public = Bool(
        default_value=False,
        help="True declares the number of rows public: it is then used exactly and costs nothing. False "
        "measures it with noise, as a part of epsilon.",
    ).tag(
        label="Row count is public",
        group="privacy",
        affects_privacy=True,
        effect="on: anybody may know the exact number of rows",
    )
    privacy_unit = ColumnName(
        help="Column that says which person (patient, customer) a row belongs to. The guarantee then "
        "protects all rows of a person together. None protects single rows, which is enough only if "
        "nobody has several. The column itself is never learned.",
    ).tag(
        label="Privacy unit",
        group="privacy",
        affects_privacy=True,
        effect="a column: protects persons; empty: protects single rows",
        empty="none",
    )
    max_rows_per_unit = Number(
        5,
        low=1,
        high=1000,
        integer=True,
        help="With privacy_unit: at most this many rows of each person are used, chosen at random if there "
        "are more. The limit is public. A smaller one means less noise.",
    ).tag(
        label="Rows per person",
        unit="rows of one person",
        group="privacy",
        affects_privacy=True,
        effect="smaller: less noise; further rows of a person are left out",
    )
    tables = NamedTables(
        help="Tables of several columns that will be asked about, such as 'sex*income, sex*age'. They are "
        "measured with noise themselves, with a tenth of the budget, so that their shares, and regressions "
        "of their columns, have narrower intervals.",
    ).tag(
        label="Named tables",
        group="model",
        affects_privacy=False,
        effect="named: these shares are surer; a little more noise elsewhere",
        empty="none",
    )
    analyses = Analyses(
        help="Regressions that will be asked for, such as 'income ~ sex + age'; several with ; between them. "
        "The tables of all pairs of their columns are measured with noise themselves, with the same tenth of "
        "the budget as named tables, so that their coefficients have narrower intervals.",
    ).tag(
        label="Named analyses",
        group="model",
        affects_privacy=False,
        effect="named: these coefficients are surer; a little more noise elsewhere",
        empty="none",
    )
    dp_backend = Enum(
        ("native", "tensorflow_privacy"),
        default_value="native",
        help="Which code clips the gradients and adds the noise: 'native' (fast, noise from the operating "
        "system's entropy) or 'tensorflow_privacy' (TensorFlow Privacy's own query; slow, for "
        "cross-checks).",
    ).tag(
        label="DP backend",
        group="training",
        affects_privacy=True,
        effect="native is fast; tensorflow_privacy is for cross-checks",
    )

    def __init__(self, **parameters: object) -> None:
        super().__init__()
        for name, value in parameters.items():
            setattr(self, name, value)

    def __setattr__(self, name: str, value: object) -> None:
        """Set a trait; an unknown name is an error instead of a new attribute without effect."""
        if name.startswith("_"):  # traitlets' own bookkeeping
            super().__setattr__(name, value)
            return
        if name not in self.trait_names():
            hint = did_you_mean(name, self.option_names())
            known = ", ".join(self.option_names())
            raise ConfigError(f"{name!r} is not a parameter of HighDimConfig.{hint} Known: {known}.")
        try:
            super().__setattr__(name, value)
        except ConfigError:
            raise
        except (TraitError, ValueError):  # whose text may show the value, whatever that is
            pass
        else:
            return
        trait = self.traits()[name]
        allowed = (
            "True or False"
            if isinstance(trait, Bool)
            else " or ".join(repr(choice) for choice in getattr(trait, "values", ()))
        )
        raise ConfigError(f"{name} = {shown(value)} is not allowed: give {allowed}.")

    def __repr__(self) -> str:
        """Show the parameters that differ from their defaults."""
        defaults = HighDimConfig().to_dict()
        changed = (f"{k}={v!r}" for k, v in self.to_dict().items() if v != defaults[k])
        return f"HighDimConfig({', '.join(changed)})"

    @classmethod
    def option_names(cls) -> tuple[str, ...]:
        """Names of all parameters, in the order in which they are documented."""
        return tuple(field.name for field in fields(ResolvedConfig))

    @classmethod
    def parse(cls, name: str, value: object) -> Any:  # noqa: ANN401 - int, float, bool, str or None
        """Check the value of one parameter and return it in the form that the config stores.

        Args:
            name: A parameter name.
            value: A value, or text that is read as a Python literal (`"0.5"`, `"None"`, `"auto"`).

        Raises:
            ConfigError: The name is unknown or the value not allowed.
        """
        parsed = value
        if isinstance(value, str):
            try:
                parsed = ast.literal_eval(value)
            except (ValueError, SyntaxError):
                parsed = value.strip()
        return getattr(cls(**{name: parsed}), name)

    def to_dict(self) -> dict[str, Any]:
        """All parameters by name; `HighDimConfig(**config.to_dict())` is an equal config."""
        return {name: getattr(self, name) for name in self.option_names()}

    def copy(self) -> HighDimConfig:
        """An independent config with the same values."""
        return HighDimConfig(**self.to_dict())

    def resolve(self) -> ResolvedConfig:
        """Freeze the parameters after checking them against each other.

        The checks live here, not in the traits, so that a half-edited panel stays legal.

        Raises:
            ConfigError: Two parameters exclude each other.
        """
        values: dict[str, Any] = {k: None if v == AUTO else v for k, v in self.to_dict().items()}
        if values["steps"] is not None and values["epochs"] is not None:
            raise ConfigError(
                f"steps = {values['steps']} and epochs = {values['epochs']:g} are both given: "
                "set one of them to 'auto'."
            )
        groups, batch = values["num_microbatches"], values["batch_size"]
        if groups is not None and batch is not None and groups > batch:
            raise ConfigError(
                f"num_microbatches = {groups} is larger than batch_size = {batch}: give at most "
                "batch_size, or None for one row per microbatch."
            )
        if groups is not None and values["dp_backend"] == "tensorflow_privacy":
            raise ConfigError(
                f"num_microbatches = {groups} and dp_backend = 'tensorflow_privacy' exclude each other: that "
                "backend clips each row by itself. Use dp_backend = 'native', or num_microbatches = None."
            )
        if values["privacy_unit"] is not None:
            excluded = {
                "num_microbatches": groups is not None,
                "n_public": values["n_public"],
                "dp_backend": values["dp_backend"] != "native",
            }
            for name in (name for name, given in excluded.items() if given):
                raise ConfigError(
                    f"privacy_unit = {values['privacy_unit']!r} and {name} = {values[name]!r} exclude each "
                    f"other: leave {name} at its default."
                )
        return ResolvedConfig(**values)


@dataclass(frozen=True)
class ResolvedConfig:
    """The checked parameters of one run, which cannot be changed; None means automatic."""

    differential_privacy: bool
    epsilon: float
    delta: float | None
    noise_multiplier: float | None
    l2_norm_clip: float | None
    num_microbatches: int | None
    batch_size: int | None
    steps: int | None
    epochs: float | None
    learning_rate: float | None
    num_bins: int | None
    n_public: bool
    privacy_unit: str | None
    max_rows_per_unit: int
    dp_backend: str
    tables: str | None = None
    analyses: str | None = None

    @property
    def named_tables(self) -> tuple[tuple[str, ...], ...]:
        """Columns of every table that is measured because it, or an analysis of its columns, was named.

        Each set of columns is measured once.
        """
        pairs = (pair for formula in formulas(self.analyses) for pair in pairs_of(formula))
        return tuple({frozenset(each): each for each in (*crossed(self.tables), *pairs)}.values())

    @property
    def rows_per_unit(self) -> int:
        """The largest number of rows that are protected together: 1, or `max_rows_per_unit`."""
        return 1 if self.privacy_unit is None else self.max_rows_per_unit

    @property
    def unit_text(self) -> str:
        """The privacy unit, in words."""
        if self.privacy_unit is None:
            return ONE_ROW
        return f"one value of {self.privacy_unit!r}, with at most {self.rows_per_unit} rows"

    def to_dict(self) -> dict[str, Any]:
        """The parameters by name, for receipts and saved models."""
        return {field.name: getattr(self, field.name) for field in fields(self)}
