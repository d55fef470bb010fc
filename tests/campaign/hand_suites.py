"""Bad input by hand in suites: their keys, how networks are trained, sweeps."""

from __future__ import annotations

import json

from campaign.cases import Case, fifo

HEAD = '[[scenarios]]\ndatasets = ["blobs?rows=300"]\ndetectors = ["knn"]\n'
DEEP = 100_000


def cases() -> list[Case]:
    return [*suites(), *trainings(), *sweeps()]


def _suite(name: str, text: str | bytes, needs: str = "", argv: tuple[str, ...] = ()) -> Case:
    content = text.encode() if isinstance(text, str) else text
    return Case(
        f"suite: {name}", ["run", "mine.toml", "--dry-run", *argv], {"mine.toml": content}, refused=True,
        needs=lambda out, err: needs in err,
    )  # fmt: skip


def _without(key: str) -> str:
    """The block without one of its keys, which then comes from the suite."""
    return "".join(line for line in HEAD.splitlines(keepends=True) if not line.startswith(key))


def suites() -> list[Case]:
    deep = "[" * DEEP
    many = ", ".join(map(str, range(10**6)))
    wide = json.dumps([f"blobs?rows={300 + row}" for row in range(3000)])
    twice = json.dumps(["knn"] * 3000)
    return [
        _suite("name leaves the folder", f'name = "../../x"\n{HEAD}', "no plain file name"),
        _suite("name is absolute", f'name = "/tmp/x"\n{HEAD}', "no plain file name"),
        _suite("name is empty", f'name = ""\n{HEAD}'),
        _suite("name is of dots", f'name = ".."\n{HEAD}'),
        _suite("name holds an escape", f'name = "a\\u001b[31m"\n{HEAD}'),
        _suite("name holds a line break", f'name = "a\\nb"\n{HEAD}'),
        _suite("name is long", f'name = "{"a" * 5000}"\n{HEAD}'),
        _suite("brackets nested deep", f"seeds = {deep}\n{HEAD}"),
        _suite("tables nested deep", f"x = {'{a=' * DEEP}\n{HEAD}"),
        _suite("digits by the thousand", f"rounds = {'9' * 10_000}\n{HEAD}"),
        _suite("hexadecimal digits by the thousand", f"rounds = 0x{'f' * 10_000}\n{HEAD}"),
        _suite("a key of 50,000 parts", f"{'.'.join(['a'] * 50_000)} = 1\n{HEAD}"),
        _suite("a table of 50,000 parts", f"[{'.'.join(['a'] * 50_000)}]\n{HEAD}"),
        _suite("timeout is infinite", f"timeout = inf\n{HEAD}"),
        _suite("timeout is no number", f"timeout = nan\n{HEAD}"),
        _suite("timeout is negative", f"timeout = -1\n{HEAD}"),
        _suite("rounds by the million", f"rounds = {10**7}\n{HEAD}"),
        _suite("rounds of nothing", f"rounds = 0\n{HEAD}"),
        _suite("rounds is a flag", f"rounds = true\n{HEAD}"),
        _suite("seeds by the million", f"seeds = [{many}]\n{HEAD}"),
        _suite("seeds named twice", f"seeds = [0, 0, 0]\n{HEAD}", "twice"),
        *(
            _suite(f"{key} named twice", f"{key} = [{value}, {value}]\n{_without(key)}", "twice")
            for key, value in (
                ("datasets", '"blobs?rows=300"'),
                ("detectors", '"knn"'),
                ("backends", '"torch"'),
                ("modes", '"tuned"'),
                ("devices", '"cpu"'),
                ("precisions", '"float32"'),
                ("batch_sizes", "64"),
                ("threads", "1"),
            )
        ),
        _suite("seeds are none", f"seeds = []\n{HEAD}"),
        _suite("seed too large", f"seeds = [{2**32}]\n{HEAD}"),
        _suite("blocks by the thousand", HEAD * 20_000),
        _suite("a product of millions", f"rounds = 1000\n[[scenarios]]\ndatasets = {wide}\ndetectors = {twice}\n"),
        _suite("a plan of millions", f"seeds = [{', '.join(map(str, range(9000)))}]\nrounds = 1000\n{HEAD}", "trials"),
        _suite("learning rate is infinite", f"[training]\nlearning_rate = inf\n{HEAD}"),
        _suite("beta is infinite", f"[training]\nbeta = inf\n{HEAD}"),
        _suite("weight decay is infinite", f"[training]\nweight_decay = inf\n{HEAD}"),
        _suite("epochs by the billion", f"[training]\nepochs = {10**12}\n{HEAD}"),
        _suite("layers by the billion", f"[training]\nhidden = [{10**12}]\n{HEAD}"),
        _suite("a loss that is a mean", f'[training]\nreduction = "mean"\n{HEAD}'),
        _suite("threads below nothing", f"threads = [-1]\n{HEAD}"),
        _suite("no blocks", 'name = "x"\n'),
        _suite("a block is a number", "scenarios = [1]\n"),
        _suite("blocks are a table", "[scenarios]\na = 1\n"),
        _suite("an unknown key", f"colour = 1\n{HEAD}"),
        _suite("a key with an escape", f'"\\u001b[2J" = 1\n{HEAD}'),
        _suite("a detector with a mark of direction", HEAD.replace("knn", "\\u202eknn")),
        _suite("a parameter of another kind", HEAD + '[scenarios.parameters.knn]\nn_neighbors = "many"\n'),
        _suite("a parameter that is not there", HEAD + "[scenarios.parameters.knn]\nneighbours = 3\n"),
        _suite("bytes of no text", b"\xff\xfe\x00\x01" * 100),
        _suite("UTF-16", f'name = "x"\n{HEAD}'.encode("utf-16")),
        _suite("NUL bytes", b"\0" * 10_000),
        _suite("longer than is read", b"#" * (5 << 20)),
        _suite("one line of 900,000 characters", f'name = "{"a" * 900_000}"\n{HEAD}'),
        _suite("published beside nothing", HEAD + "[[published]]\ndatasets = []\n"),
        _suite("published without a value", HEAD + '[[published]]\ndatasets = ["blobs"]\ndetector = "knn"\n'),
        Case("suite: a folder", ["run", "folder", "--dry-run"], {"folder/x": b""}, refused=True),
        Case("suite: none of that name", ["run", "x" * 5000, "--dry-run"], refused=True),
        Case("suite: a name with NUL", ["run", "a\0b", "--dry-run"], refused=True),
        Case("suite: an endless device", ["run", "/dev/zero", "--dry-run"], refused=True),
        fifo("suite: a pipe", "mine.toml", ["run", "mine.toml", "--dry-run"]),
    ]


def _training(name: str, keys: str, needs: str = "", detector: str = "vae") -> Case:
    head = HEAD.replace("knn", detector)
    return _suite(f"training: {name}", f"[training]\n{keys}\n{head}", needs)


def trainings() -> list[Case]:
    """Keys of ``[training]`` that say how a network is made and trained."""
    attack = "adversarial = {{ {} }}".format
    return [
        _training("an attack of no name", attack("epsilon = 0.1"), "method"),
        _training("an attack that is none", attack('method = "cw", epsilon = 0.1'), "cw"),
        _training("an attack with an escape", attack('method = "\\u001b[2J", epsilon = 0.1')),
        _training("an attack without bounds", attack('method = "pgd"')),
        _training("an attack of nothing", attack('method = "pgd", epsilon = 0')),
        _training("an attack below nothing", attack('method = "pgd", epsilon = -0.1')),
        _training("an attack without end", attack('method = "pgd", epsilon = inf')),
        _training("an attack of a truth value", attack('method = "pgd", epsilon = true')),
        _training("an attack of text", attack('method = "pgd", epsilon = "wide"')),
        _training("an attack of no steps", attack('method = "pgd", epsilon = 0.1, steps = 0')),
        _training("an attack of billions of steps", attack('method = "pgd", epsilon = 0.1, steps = 1000000000000')),
        _training("an attack of half a step", attack('method = "pgd", epsilon = 0.1, steps = 1.5')),
        _training("steps of an attack that has one", attack('method = "fgsm", epsilon = 0.1, steps = 5')),
        _training("an attack with a foreign key", attack('method = "pgd", epsilon = 0.1, eps = 0.2')),
        _training("an attack that is a word", 'adversarial = "pgd"'),
        _training("two attacks", 'adversarial = [{ method = "pgd", epsilon = 0.1 }]'),
        _training("an attack that is empty", "adversarial = {}"),
        _training("an activation that is none", 'activation = "relux"', "relu"),
        _training("an activation that is a number", "activation = 1"),
        _training("an activation that is empty", 'activation = ""'),
        _training("activations", 'activation = ["relu", "tanh"]'),
        _training("an activation with a mark of direction", 'activation = "\\u202rulе"'),
        _training("a prior that is none", 'prior = "vamp"'),
        _training("a prior that is a table", 'prior = { kind = "mixture" }'),
        _training("a mixture of nothing", 'prior = "mixture"', "components"),
        _training("a mixture below nothing", 'prior = "mixture"\ncomponents = -1'),
        _training("a mixture of billions", 'prior = "mixture"\ncomponents = 1000000000000'),
        _training("a mixture of one and a half", 'prior = "mixture"\ncomponents = 1.5'),
        _training("components without a mixture", "components = 10", "components are those of the prior"),
        _training("a likelihood that is none", 'likelihood = "poisson"'),
        _training("no draws", "importance_samples = 0"),
        _training("billions of draws", "importance_samples = 1000000000000"),
        _training("free bits without end", "free_bits = inf"),
        _training("free bits below nothing", "free_bits = -1"),
        _training("noise below nothing", "input_noise = -0.5"),
        _training("all units dropped", "dropout = 1.0"),
        _training("patience below nothing", "patience = -1"),
        _training("patience beyond all epochs by billions", "patience = 1000000000000"),
        _training("momentum of Adam beyond one", 'optimizer = "sgd"\nmomentum = 1.5'),
        _training("an optimizer that is none", 'optimizer = "lion"'),
        _training("rows that are streamed below nothing", "stream_rows = -1"),
        _training("a kernel of even size", "kernel = 4", detector="conv_vae"),
        _training("strides of three", "strides = [3, 3]", detector="conv_vae"),
        _training("strides for half the filters", "filters = [8, 8]\nstrides = [1]", detector="conv_vae"),
        _training("filters by the billion", "filters = [1000000000000]", detector="conv_vae"),
        _training("ten thousand layers", f"hidden = [{', '.join(['8'] * 10_000)}]"),
        _training("scores of one name twice", 'scores = ["elbo", "elbo"]'),
        _training("a score that is none", 'scores = ["likelyhood"]'),
        _suite("training: a number", f"training = 3\n{HEAD}"),
        _suite("robustness of text", f'robustness = ["far"]\n{HEAD}'),
        _suite("robustness below nothing", f"robustness = [-0.1]\n{HEAD}"),
        _suite("robustness without end", f"robustness = [inf]\n{HEAD}"),
        _suite("robustness of what has no gradient", f"robustness = [0.1]\n{HEAD}", "knn"),
        _suite("robustness by the thousand", f"robustness = {[n / 1e5 for n in range(1, 20_000)]}\n"
               + HEAD.replace("knn", "norm")),
        _suite("lanes of nothing", f"lanes = 0\n{HEAD}"),
        _suite("lanes below nothing", f"lanes = -3\n{HEAD}"),
        _suite("lanes by the billion", f"lanes = 1000000000000\n{HEAD}"),
        _suite("lanes of a word", f'lanes = "many"\n{HEAD}'),
        _suite("lanes are a flag", f"lanes = true\n{HEAD}"),
        _suite("lanes are a list", f"lanes = [1, 2]\n{HEAD}"),
        _suite("labelled rows beyond all", f"labelled = 1.5\n{HEAD}"),
        _suite("labelled rows below nothing", f"labelled = -0.1\n{HEAD}"),
        _suite("a process that is shared by all", f'shared_process = "all"\n{HEAD}'),
        _suite("variants of one key that is none", f'{HEAD.replace("knn", "vae")}variants = [{{ colour = 1 }}]\n'),
        _suite("variants that are no tables", f'{HEAD.replace("knn", "vae")}variants = [1]\n'),
        _suite("variants by the thousand", HEAD.replace("knn", "vae")
               + f"variants = [{', '.join(f'{{ free_bits = {n}.5 }}' for n in range(20_000))}]\n"),
    ]  # fmt: skip


def sweeps() -> list[Case]:
    """Sweeps in suites and on the command line."""

    def swept(name: str, keys: str, needs: str = "", detectors: str = "knn") -> Case:
        return _suite(f"sweep: {name}", f"{HEAD.replace('knn', detectors)}[scenarios.sweep]\n{keys}\n", needs)

    def asked(name: str, *values: str) -> Case:
        argv = ["run", "smoke", "--dry-run", *(word for value in values for word in ("--sweep", value))]
        return Case(f"sweep: {name}", argv, refused=True)

    wide = json.dumps([f"blobs?rows={300 + row}" for row in range(3000)])
    thousand = ", ".join(map(str, range(1, 1001)))
    return [
        swept("a key that is none", "knn.neighbours = [1]", "n_neighbors"),
        swept("a key with an escape", '"\\u001b[2J" = [1]'),
        swept("a detector that is none", "knm.n_neighbors = [1]"),
        swept("a detector that does not run", "one_class_svm.nu = [0.1]"),
        swept("no values", "knn.n_neighbors = []"),
        swept("a value alone", "knn.n_neighbors = 3"),
        swept("a value twice", "knn.n_neighbors = [3, 3]", "twice"),
        swept("values of another kind", 'knn.n_neighbors = ["many"]'),
        swept("values below nothing", "knn.n_neighbors = [-1]"),
        swept("more values than are read", f"knn.n_neighbors = [{', '.join(map(str, range(1, 5000)))}]"),
        swept("a range without a number", "knn.n_neighbors = { low = 1, high = 9 }", "sample"),
        swept("a range upside down", "knn.n_neighbors = { low = 9, high = 1 }\nsample = 3"),
        swept("a range of one", "knn.n_neighbors = { low = 3, high = 3 }\nsample = 3"),
        swept("a range without an end", "knn.n_neighbors = { low = 1 }\nsample = 3"),
        swept("a range of texts", 'knn.n_neighbors = { low = "1", high = "9" }\nsample = 3'),
        swept("a logarithmic range from nothing", "learning_rate = { low = 0, high = 1, log = true }\nsample = 3",
              detectors="vae"),
        swept("a range beyond 64 bits", "latent = { low = 1, high = 1e300 }\nsample = 3", detectors="vae"),
        swept("a range of layers", "hidden = { low = 1, high = 9 }\nsample = 3", detectors="vae"),
        swept("a sample of nothing", "knn.n_neighbors = [1, 2]\nsample = 0"),
        swept("a sample by the billion", "knn.n_neighbors = { low = 1, high = 99 }\nsample = 1000000000000", "sample"),
        swept("a sample of nothing swept", "sample = 3"),
        swept("a grid of 10**15", "\n".join(f"{key} = [{thousand}]" for key in (
            "latent", "epochs", "batch_size", "patience", "kl_warmup_epochs")), "trials", "vae"),
        swept("an option of data that is none", "data.colour = [1]"),
        swept("an option of data in a range", "data.rows = { low = 300, high = 900 }\nsample = 3"),
        swept("an option that the data set sets", "data.rows = [400]", "rows"),
        swept("an option of data of another kind", 'data.clusters = ["many"]'),
        _suite("sweep: a thousand options of thousands of data sets",
               f"[[scenarios]]\ndatasets = {wide}\ndetectors = [\"knn\"]\n"
               f"[scenarios.sweep]\ndata.clusters = [{thousand}]\n"),
        _suite("sweep: that is no table", f"{HEAD}sweep = 3\n"),
        _suite("sweep: at the top, of nothing that runs", f"[sweep]\nlatent = [2]\n{HEAD}"),
        asked("words alone", "latent"),
        asked("no key", "=1"),
        asked("no values on the command line", "latent="),
        asked("a key twice", "latent=2", "latent=4"),
        asked("ranges that are none", "latent=2..", "sample=3"),
        asked("ranges of three", "latent=1..2..3", "sample=3"),
        asked("a range of no numbers", "learning_rate=nan..inf", "sample=3"),
        asked("a range beyond floats", "learning_rate=1e-3..1e999:log", "sample=3"),
        asked("a range with a foreign word", "latent=2..8:cubic", "sample=3"),
        asked("brackets nested deep", f"hidden={'[' * DEEP}"),
        asked("brackets that never close", "hidden=[64],[128"),
        asked("5,000 digits", f"latent={'9' * 5000}"),
        asked("an escape", "\x1b[31mlatent=2"),
        asked("a sample of 400 digits", "latent=2..8", f"sample={'9' * 400}"),
        asked("code", "latent=__import__('os').system('id')"),
        Case("sweep: lanes of a word", ["run", "smoke", "--dry-run", "--lanes", "many"], refused=True),
        Case("sweep: lanes of nothing", ["run", "smoke", "--dry-run", "--lanes", "0"], refused=True),
        Case("sweep: lanes of thirty digits", ["run", "smoke", "--dry-run", "--lanes", "9" * 30], refused=True),
        Case("sweep: lanes of what is timed", ["run", "smoke", "--lanes", "4", "--out", "o"], refused=True),
        Case("sweep: timed beside others", ["run", "smoke", "--dry-run", "--timed", "--jobs", "2"], refused=True),
        Case("sweep: tuned by data", ["tune", "smoke", "--sweep", "data.rows=300,400"], refused=True),
    ]  # fmt: skip
