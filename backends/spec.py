"""What is to be built and how it is to be trained: plain values that every backend reads the same way."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

from backends.adversarial import Adversarial
from backends.layer import Layer

Kind = Literal["vae", "autoencoder"]
Prior = Literal["normal", "mixture", "vamp"]
Likelihood = Literal["mse", "bce", "gaussian", "diagonal_gaussian"]
Activation = Literal["relu", "tanh", "sigmoid", "elu", "leaky_relu", "gelu", "silu"]
Kernel = Literal[3, 5]
Stride = Literal[1, 2]
Decoder = Literal["mirrored", "projected"]
Precision = Literal["float32", "float64", "bfloat16", "tf32"]
Device = Literal["cpu", "gpu"]
RandomSource = Literal["native", "shared"]
Optimizer = Literal["adam", "adamw", "rmsprop", "sgd"]
Score = Literal["reconstruction", "elbo", "kl", "mse", "mae", "bce", "reconstruction_probability", "iwae"]

PRIORS: tuple[Prior, ...] = get_args(Prior)
LIKELIHOODS: tuple[Likelihood, ...] = get_args(Likelihood)
ACTIVATIONS: tuple[Activation, ...] = get_args(Activation)
DECODERS: tuple[Decoder, ...] = get_args(Decoder)
SCORES: tuple[Score, ...] = get_args(Score)

VARIANCE_FLOOR = math.exp(-12)
"""What is added to a batch's σ² under the likelihood ``gaussian``: rows that are reconstructed without an error would
otherwise drive σ to 0, and the loss with it beyond all bounds."""
LOG_TAU = math.log(2 * math.pi)
"""log 2π."""
NORMAL_ENTROPY = (1 + math.log(2 * math.pi)) / 2
"""h of the standard normal distribution, in nats; that of N(x̂, σ²) is log σ + h."""

LEAKY_SLOPE = 0.01
"""Of ``leaky_relu`` below 0."""


def no_score(score: Score, kind: Kind, likelihood: Likelihood) -> str | None:
    """Why a network of this kind and likelihood has no such score, in one line; None where it has."""
    if score in ("kl", "iwae") and kind == "autoencoder":
        return f"the score {score!r} is that of a latent distribution, and an autoencoder has none"
    if score == "bce" and likelihood != "bce":
        return f"the score 'bce' needs reconstructions that are probabilities; the likelihood {likelihood!r} gives none"
    return None


@dataclass(frozen=True)
class NetworkSpec:
    """The network: features - filters - hidden - latent - mirrored hidden - mirrored filters - features.

    Attributes
    ----------
    features : int
        Columns of the input.
    hidden : tuple of int
        Widths of the encoder's hidden dense layers, input side first; the decoder mirrors them. May be empty.
    latent : int
        Dimensions of the latent space.
    kind : ``vae`` (two linear heads, mu and logvar) or ``autoencoder`` (one linear head, no noise, no KL)
    likelihood : of a row, with x̂ the output for it
        - ``mse``: sum of squared errors
        - ``bce``: binary cross-entropy on logits, inputs in [0, 1]
        - ``gaussian``: −log N(x; x̂, σ² I) = ½ Σ [ (x̂ − x)² / σ² + log σ² + log 2π ], whose one σ is fitted: in
          training that of the batch (the optimal σ-VAE of Rybkin et al. 2021), σ² = mean of (x̂ − x)² + e⁻¹², so that
          the batch's mean is D (log σ + ½ log 2πe) for D features; afterwards that of the last epoch, whose log σ is
          the mean over its batches
        - ``diagonal_gaussian``: ½ Σ [ (x̂ − x)² / σ² + log σ² + log 2π ] with a σ² = exp(s) + e⁻¹² of every feature,
          whose s are weights as any other and start at 0
    prior : of z; the KL to all but the first is taken at the draws of z
        - ``normal``: N(0, I)
        - ``mixture``: Σ_j π_j N(z; m_j, diag exp(s_j)) with π = softmax(logits), whose means, log variances and logits
          are trained
        - ``vamp``: 1/K Σ_j q(z|u_j), whose pseudo-inputs u_j, rows of the input's own width, are trained and go through
          the encoder (Tomczak and Welling 2018)
    components : int
        K of the two mixtures; 0 for the normal prior.
    image : (height, width), (steps,) or None
        The features are the pixels of an image, row by row, or the steps of a window of a series, one after another,
        each with all its ``channels``; convolutions run over both directions of an image, or over time. Given if and
        only if there are filters.
    filters : tuple of int
        Channels of the convolutions before the hidden layers; the decoder mirrors them by transposed convolutions.
        Empty for the dense network.
    kernel : 3 or 5
        Height and width of every convolution's kernel; over time its steps.
    strides : tuple of 1 and 2
        Step of each of these convolutions; empty for 2 in all of them.
    decoder : how the transposed convolutions end
        - ``mirrored``: each undoes one convolution, and the last gives the channels of the input
        - ``projected``: each keeps its convolution's filters, and one more, at stride 1, gives the input's channels
    activation : one of the seven below
        f, which follows every layer but the heads and the output; σ is the logistic function.

        - ``relu``: max(0, a)
        - ``leaky_relu``: a for a > 0, else 0.01 a (Maas et al. 2013)
        - ``elu``: a for a > 0, else exp(a) − 1 (Clevert et al. 2016, α = 1)
        - ``tanh``, and ``sigmoid``: σ(a)
        - ``gelu``: a/2 (1 + erf(a / √2)), not its approximation by tanh (Hendrycks and Gimpel 2016)
        - ``silu``: a σ(a) (Elfwing et al. 2018), also called swish
    """

    features: int
    hidden: tuple[int, ...] = (128, 64)
    latent: int = 8
    kind: Kind = "vae"
    likelihood: Likelihood = "mse"
    image: tuple[int, ...] | None = None
    filters: tuple[int, ...] = ()
    activation: Activation = "relu"
    kernel: Kernel = 3
    strides: tuple[Stride, ...] = ()
    decoder: Decoder = "mirrored"
    prior: Prior = "normal"
    components: int = 0

    def __post_init__(self) -> None:
        widths = (self.features, *self.hidden, self.latent, *self.filters, *(self.image or ()))
        if any(not isinstance(width, int) or width < 1 for width in widths):
            raise ValueError(f"layer widths must be positive integers, not {widths}")
        if self.kind not in get_args(Kind):
            raise ValueError(f"kind must be one of {get_args(Kind)}, not {self.kind!r}")
        if self.likelihood not in LIKELIHOODS:
            raise ValueError(f"likelihood must be one of {LIKELIHOODS}, not {self.likelihood!r}")
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"activation must be one of {ACTIVATIONS}, not {self.activation!r}")
        if self.prior not in PRIORS:
            raise ValueError(f"prior must be one of {PRIORS}, not {self.prior!r}")
        if self.prior != "normal" and self.kind == "autoencoder":
            raise ValueError(f"the prior {self.prior!r} is one of a latent distribution, and an autoencoder has none")
        if type(self.components) is not int or self.components < 0 or bool(self.components) == (self.prior == "normal"):
            needed = "0 for 'normal'" if self.prior == "normal" else f"1 or more for {self.prior!r}"
            raise ValueError(f"components are those of the prior, {needed}, not {self.components!r}")
        if bool(self.filters) != (self.image is not None):
            raise ValueError(f"filters and the image's shape go together, not filters {self.filters}, {self.image}")
        if not self.filters and (self.kernel, self.strides, self.decoder) != (3, (), "mirrored"):
            raise ValueError("kernel, strides and decoder are of convolutions, and there are no filters")
        if self.kernel not in get_args(Kernel):
            raise ValueError(f"kernel must be one of {get_args(Kernel)}, not {self.kernel!r}")
        if self.strides and len(self.strides) != len(self.filters):
            raise ValueError(f"strides must be one for each of {len(self.filters)} filters, not {self.strides}")
        if any(stride not in get_args(Stride) for stride in self.strides):
            raise ValueError(f"strides must be of {get_args(Stride)}, not {self.strides}")
        if self.decoder not in DECODERS:
            raise ValueError(f"decoder must be one of {DECODERS}, not {self.decoder!r}")
        if self.image is not None and len(self.image) not in (1, 2):
            raise ValueError(f"an image's shape must be (height, width), and a window's (steps,), not {self.image}")
        if self.image is not None and len(self.image) == 2 and math.prod(self.image) != self.features:
            raise ValueError(f"an image of {self.image} pixels has not {self.features} features")
        if self.image is not None and len(self.image) == 1 and self.features % self.image[0]:
            raise ValueError(f"{self.features} features are no window of {self.image[0]} steps, each with all channels")

    @property
    def scores(self) -> tuple[Score, ...]:
        """The kinds of score that this network has."""
        return tuple(score for score in SCORES if no_score(score, self.kind, self.likelihood) is None)

    @property
    def channels(self) -> int:
        """Values of one step of a window, and 1 of one pixel of an image."""
        return self.features // math.prod(self.image or (self.features,))

    @property
    def parts(self) -> tuple[slice, slice, slice]:
        """Where among the layers the encoder stands, where its heads, and where the decoder with the output."""
        depth = len(self.filters) + len(self.hidden)
        heads = depth + (2 if self.kind == "vae" else 1)
        return slice(depth), slice(depth, heads), slice(heads, None)

    def layers(self) -> dict[str, Layer]:
        """Every layer by its name, from the input to the output.

        ``encoder.0`` ..., the heads ``mu`` and ``logvar`` (``latent`` for an autoencoder), ``decoder.0`` ... and
        ``output``. All but the heads and the output are followed by the activation.
        """
        convolutions = self._convolutions()
        (height, width), channels = (convolutions[-1].after, self.filters[-1]) if convolutions else ((1, 1), 0)
        flat = height * width * channels if convolutions else self.features
        encoder = [*convolutions, *(Layer("dense", i, o) for i, o in pairwise((flat, *self.hidden)))]
        head = Layer("dense", (flat, *self.hidden)[-1], self.latent)
        decoder = [Layer("dense", i, o) for i, o in pairwise((self.latent, *reversed(self.hidden), flat))]
        *decoder, output = (*decoder, *self._transposed(convolutions))
        return {
            **{f"encoder.{i}": layer for i, layer in enumerate(encoder)},
            **dict.fromkeys(("mu", "logvar") if self.kind == "vae" else ("latent",), head),
            **{f"decoder.{i}": layer for i, layer in enumerate(decoder)},
            "output": output,
        }

    def _convolutions(self) -> list[Layer]:
        found: list[Layer] = []
        height, width, *_ = (*(self.image or ()), 1, 1)
        channels, across = self.channels, len(self.image or ()) == 2
        for filters, stride in zip(self.filters, self.strides or (2,) * len(self.filters), strict=True):
            window, steps = (self.kernel, self.kernel if across else 1), (stride, stride if across else 1)
            after = -(-height // steps[0]), -(-width // steps[1])
            found.append(Layer("convolution", channels, filters, (height, width), after, window, steps))
            (height, width), channels = after, filters
        return found

    def _transposed(self, convolutions: list[Layer]) -> list[Layer]:
        """What undoes the convolutions, the last first, down to the channels of the input."""
        levels = convolutions[::-1]
        channels = [(layer.outputs, layer.inputs) for layer in levels]
        if self.decoder == "projected":
            channels = list(pairwise((self.filters[-1], *reversed(self.filters))))
        found = [
            Layer("transposed", i, o, layer.after, layer.before, layer.window, layer.stride)
            for (i, o), layer in zip(channels, levels, strict=True)
        ]
        if self.decoder == "projected":
            first = convolutions[0]
            shape = first.before, first.before, first.window, (1, 1)
            found.append(Layer("transposed", self.filters[0], first.inputs, *shape))
        return found

    def dropped(self) -> dict[str, int]:
        """The layers that dropout acts on, the hidden dense ones, with their widths."""
        return {
            name: layer.outputs
            for name, layer in self.layers().items()
            if layer.kind == "dense" and name.startswith(("encoder", "decoder"))
        }


@dataclass(frozen=True)
class TrainingSettings:
    """How a network is trained and where.

    Attributes
    ----------
    batch_size : int
        Rows a step; an epoch drops its last partial batch.
    optimizer : one of the four below, with g the gradient, θ the weights and t the step, counted from 1
        Where ``weight_decay`` is λ, ``adamw`` decays by itself (decoupled) and the others add λ θ to g (coupled).

        - ``adam`` (Kingma and Ba 2015, algorithm 1): m ← β1 m + (1 − β1) g, v ← β2 v + (1 − β2) g²,
          θ ← θ − lr · m̂ / (√v̂ + ε) with m̂ = m / (1 − β1ᵗ) and v̂ = v / (1 − β2ᵗ)
        - ``adamw`` (Loshchilov and Hutter 2019, algorithm 2, at a constant rate): as ``adam``, and θ ← … − lr · λ θ
        - ``rmsprop`` (Hinton 2012, lecture 6e): v ← ρ v + (1 − ρ) g², θ ← θ − lr · g / (√v + ε)
        - ``sgd`` with momentum (Sutskever et al. 2013, at a constant rate): b ← μ b + g, θ ← θ − lr · b
    learning_rate, beta1, beta2, epsilon, rho, momentum : float
        lr, β1, β2, ε, ρ and μ above; each optimiser takes its own. ε stands outside the root.
    weight_decay : float
        λ above, for all weights, biases included; 0 is none.
    dropout : float
        Probability with which, in training, a unit of a hidden dense layer is zeroed after its activation; the others
        are divided by one minus it (Srivastava et al. 2014, inverted). Convolutions and heads drop nothing.
    input_noise : float
        s: in training the network sees x + s η, η ~ N(0, I), and reconstructs x (Vincent et al. 2010); 0 is none.
    beta : float
        Weight of the KL term.
    importance_samples : int
        k, draws of z for every row of a training batch. 1 trains by the ELBO with the KL in closed form where there is
        one; more by the importance-weighted bound (Burda et al. 2016), whose weights hold β_t.
    kl_warmup_epochs : int
        Epochs over which the weight rises linearly from 0; 0 means ``beta`` from the start.
    kl_cycle_epochs : int
        Epochs after which that rise begins anew (Fu et al. 2019), more than it takes; 0 means that it is the only one.
    free_bits : float
        λ, in nats: in training the KL is Σ_j max(λ, KL_j) over the latent units, KL_j the mean over the rows of the
        batch (Kingma et al. 2016); 0 is the KL itself.
    adversarial : Adversarial or None
        How the inputs of a step are moved before it trains on them; ``backends.adversarial`` has the definition.
    seed : int
        Key of the batch order and the noise, below 2**32, the largest range that all frameworks take.
    random_source : ``native`` (the framework's own generator) or ``shared`` (NumPy Philox, the same in every backend)
    mode, device, precision
        How the backend executes, where, and in which arithmetic. ``bfloat16``: the layers compute in it, while weights,
        optimiser, z and the loss stay float32. ``tf32``: float32, but matrix products may round their inputs to TF32.
    threads : int or None
        What the process was started with; the environment sets it, a backend only confirms it.
    stream_rows : int
        Training rows that the device holds at a time, at most; 0 leaves it to their size (``randomness.part_rows``).
    """

    batch_size: int = 128
    optimizer: Optimizer = "adam"
    learning_rate: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    rho: float = 0.9
    momentum: float = 0.9
    weight_decay: float = 0.0
    dropout: float = 0.0
    input_noise: float = 0.0
    beta: float = 1.0
    importance_samples: int = 1
    kl_warmup_epochs: int = 0
    kl_cycle_epochs: int = 0
    free_bits: float = 0.0
    adversarial: Adversarial | None = None
    seed: int = 0
    random_source: RandomSource = "native"
    mode: str = "idiomatic"
    device: Device = "cpu"
    precision: Precision = "float32"
    threads: int | None = None
    stream_rows: int = 0

    def __post_init__(self) -> None:
        for name, holds, rule in (
            ("batch_size", self.batch_size >= 1, "at least 1"),
            ("learning_rate", self.learning_rate > 0, "positive"),
            ("beta1", 0 <= self.beta1 < 1, "in [0, 1)"),
            ("beta2", 0 <= self.beta2 < 1, "in [0, 1)"),
            ("epsilon", self.epsilon > 0, "positive"),
            ("rho", 0 <= self.rho < 1, "in [0, 1)"),
            ("momentum", 0 <= self.momentum < 1, "in [0, 1)"),
            ("weight_decay", self.weight_decay >= 0, "0 or more"),
            ("dropout", 0 <= self.dropout < 1, "in [0, 1)"),
            ("input_noise", 0 <= self.input_noise < math.inf, "0 or more"),
            ("beta", self.beta >= 0, "0 or more"),
            ("importance_samples", self.importance_samples >= 1, "at least 1"),
            ("kl_warmup_epochs", self.kl_warmup_epochs >= 0, "0 or more"),
            (
                "kl_cycle_epochs",
                self.kl_cycle_epochs == 0 or 0 < self.kl_warmup_epochs < self.kl_cycle_epochs,
                f"0, or more than a kl_warmup_epochs of at least 1 (which is {self.kl_warmup_epochs})",
            ),
            ("free_bits", self.free_bits >= 0, "0 or more"),
            ("seed", 0 <= self.seed < 2**32, "in [0, 2**32)"),
            ("stream_rows", self.stream_rows >= 0, "0 or more"),
            ("optimizer", self.optimizer in get_args(Optimizer), f"one of {get_args(Optimizer)}"),
        ):
            if not holds:
                raise ValueError(f"{name} must be {rule}, not {getattr(self, name)!r}")

    @property
    def storage(self) -> Literal["float32", "float64"]:
        """The type of rows, weights and losses, whatever the layers compute in."""
        return "float64" if self.precision == "float64" else "float32"

    def kl_weight(self, epoch: int) -> float:
        """β_t = β · min(1, epoch / kl_warmup_epochs), epochs counted from 0; no warm-up means β from the start.

        Where there are cycles, epochs are counted from the start of each."""
        if self.kl_warmup_epochs == 0:
            return self.beta
        place = epoch % self.kl_cycle_epochs if self.kl_cycle_epochs else epoch
        return self.beta * min(1.0, place / self.kl_warmup_epochs)


def contradiction(spec: NetworkSpec, settings: TrainingSettings) -> str | None:
    """Why a network is not trained under these settings, one of which would say nothing, in one line; None where it
    is."""
    of_kl = [name for name in ("kl_cycle_epochs", "free_bits") if getattr(settings, name)]
    if of_kl and spec.kind == "autoencoder":
        return f"{of_kl[0]} is about the KL of a latent distribution, and an autoencoder has none"
    if settings.importance_samples > 1 and spec.kind == "autoencoder":
        return "importance_samples are draws from a latent distribution, and an autoencoder has none"
    if settings.importance_samples > 1 and spec.likelihood == "gaussian":
        return "importance_samples weigh the likelihoods of single rows, and the gaussian's σ is that of a batch"
    if settings.importance_samples > 1 and settings.free_bits:
        return "free_bits are of the ELBO's KL by units, and the bound of importance_samples has no such part"
    if settings.free_bits and spec.prior != "normal":
        return f"free_bits are of a KL by units, and that of the prior {spec.prior!r} has no such parts"
    if spec.prior != "normal" and settings.beta == 0:
        return f"the prior {spec.prior!r} has no part in the loss with beta = 0"
    if of_kl and settings.beta == 0:
        return f"{of_kl[0]} is about the KL, which has no part in the loss with beta = 0"
    if settings.stream_rows and settings.random_source == "shared":
        return "stream_rows are for what a backend draws by itself, and random_source is 'shared'"
    return None
