"""The cases of the ladder: which networks climb, and how each is trained."""

from __future__ import annotations

from dataclasses import dataclass, replace

from backends.adversarial import Adversarial
from backends.spec import Activation, Device, Likelihood, NetworkSpec, Precision, Score, TrainingSettings


@dataclass(frozen=True)
class Case:
    """A network and a way to train it. ``steps`` single batches come first, then ``epochs`` over ``rows`` rows."""

    name: str
    data: str
    spec: NetworkSpec
    settings: TrainingSettings
    rows: int = 180
    steps: int = 3
    epochs: int = 2
    patience: int = 0
    gradients: bool = True
    """Whether its gradient is looked at; where another case has the same network, the steps are enough."""
    whole: bool = False
    """Whether it is trained to its end: its losses and weights then have rungs of their own."""
    scores: tuple[Score, ...] = ("elbo",)
    """What its validation rows are scored by in the end."""
    slopes: tuple[Score, ...] = ()
    """Of what its validation rows have the gradient told in the end."""
    many: bool = False
    """Whether more rows than two chunks and a tail go through all that takes rows, and few, and a single one."""


def cases(precision: Precision, device: Device = "cpu", mode: str = "idiomatic", quick: bool = False) -> list[Case]:
    """The networks that climb; between them they use every option that changes what is computed.

    Activations are spread over them, so that each is seen in every mode and no program is compiled for one alone. The
    first case is the one that is trained to the end, scored and exchanged. Constants have digits that float32 would
    lose, and seeds use all their bits. ``quick`` trains it for fewer epochs, leaves out the images of 28×28 and 7×7
    pixels and the windows, and looks at the gradients of the dense VAEs alone, since the steps of the others follow
    theirs; in float32, where there is only rounding left to see, the first two cases climb.
    """
    # 5 batches and a partial one an epoch: 180 = 5 · 32 + 20
    base = TrainingSettings(batch_size=32, random_source="shared", precision=precision, device=device, mode=mode)
    dense = NetworkSpec(20, (128, 64), 8)
    small = NetworkSpec(20, (16, 16), 4)
    plain = replace(small, kind="autoencoder", activation="elu")
    found = [
        Case(
            "dense",
            "blobs",
            dense,
            replace(base, batch_size=128, kl_warmup_epochs=20),
            rows=10**9,
            steps=0,
            epochs=5 if quick else 50,
            whole=True,
        ),
        Case(
            "adamw",
            "blobs",
            replace(small, activation="silu"),
            replace(base, optimizer="adamw", weight_decay=0.1, kl_warmup_epochs=4),
            gradients=False,
            many=True,
        ),
        Case(
            "bce",
            "digits",
            NetworkSpec(64, (24,), 4, likelihood="bce"),
            replace(base, beta=0.6, weight_decay=0.05, seed=2**32 - 1),
            scores=("elbo", "kl", "mse", "bce"),
            slopes=("elbo", "mse"),
        ),
        Case(
            "gaussian",
            "blobs",
            replace(small, likelihood="gaussian", activation="gelu"),
            replace(base, beta=0.7, weight_decay=0.05, seed=2**31 + 2**16 + 1, adversarial=Adversarial("pgd", 0.3, 3)),
            scores=("elbo", "mse", "reconstruction_probability"),
            slopes=("reconstruction_probability", "mae"),
        ),
        Case(
            "rmsprop",
            "blobs",
            plain,
            replace(base, optimizer="rmsprop", weight_decay=0.05),
            gradients=not quick,
        ),
        Case(
            "sgd, dropout",
            "blobs",
            replace(small, activation="leaky_relu"),
            replace(base, optimizer="sgd", learning_rate=1e-3, weight_decay=0.05, beta=2.0, dropout=0.2),
        ),
        Case(
            "early stopping",
            "blobs",
            plain,
            replace(base, learning_rate=0.02),
            rows=64,
            steps=0,
            epochs=60,
            patience=3,
            gradients=False,
            whole=True,
        ),
        Case(
            "mixture, draws",
            "blobs",
            replace(small, likelihood="diagonal_gaussian", prior="mixture", components=3),
            replace(
                base, beta=0.6, weight_decay=0.05, importance_samples=3, input_noise=0.3, dropout=0.2, seed=2**20 + 9
            ),
            epochs=2 if quick else 10,
            gradients=not quick,
            scores=("elbo", "kl", "iwae", "reconstruction_probability"),
            slopes=("elbo", "iwae"),
        ),
    ]
    if quick and precision == "float32":
        return found[:2]
    if not quick:
        # KLs of units lie on both sides of the free bits; the epochs are the 4th to the 13th, of cycles of 5
        free = replace(base, beta=0.9, free_bits=0.2, kl_warmup_epochs=2, kl_cycle_epochs=5)
        found.append(Case("free bits, cycles", "blobs", small, free, epochs=10))
        found.append(
            Case(
                "vamp",
                "blobs",
                replace(small, prior="vamp", components=3),
                replace(base, beta=1.3, weight_decay=0.05, input_noise=0.2, dropout=0.2, seed=2**24 + 1),
                epochs=10,
                scores=("elbo", "kl", "iwae"),
                slopes=("kl",),
            )
        )
    images = {"digits": (8, 8)} if quick else {"digits": (8, 8), "odd": (7, 7), "images": (28, 28)}
    activations: dict[str, Activation] = {"digits": "sigmoid", "odd": "tanh", "images": "relu"}
    for data, (height, width) in images.items():
        likelihood: Likelihood = "gaussian" if data == "odd" else "bce"
        spec = NetworkSpec(height * width, (16,), 2, likelihood=likelihood, image=(height, width), filters=(32, 64))
        spec = replace(spec, activation=activations[data])
        if data == "odd":
            spec = replace(spec, kernel=5, strides=(2, 1), decoder="projected")
        name, settings = f"convolutional {height}×{width}", base
        if data == "digits":
            settings = replace(base, adversarial=Adversarial("fgsm", 0.1))
        found.append(Case(name, data, spec, settings, rows=90, gradients=not quick))
    if not quick:
        # the columns of the blobs as steps of so many channels each
        even = NetworkSpec(20, (16,), 4, image=(10,), filters=(8, 16), activation="silu")
        odd = replace(even, image=(5,), activation="elu", kernel=5, strides=(1, 2), decoder="projected")
        found.append(Case("windows 10×2", "blobs", even, replace(base, dropout=0.2), epochs=10))
        found.append(Case("windows 5×4", "blobs", odd, replace(base, beta=0.6), epochs=10, slopes=("elbo",)))
    return found
