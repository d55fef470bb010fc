"""A backend's training loop with nothing around it: prints the seconds of every epoch."""

from __future__ import annotations

import json
import os
import sys
import time

import numpy as np

import backends
import datasets
from backends.spec import NetworkSpec, TrainingSettings
from backends.weights import initial_weights

name, mode, data, epochs = sys.argv[1:]
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
backend = backends.load(name)
X = datasets.load(data, seed=0).X_train
spec = NetworkSpec(X.shape[1], (128, 64), 8)
model = backend.build(spec, initial_weights(spec, 0), TrainingSettings(mode=mode, threads=1))
model.load_data(np.asarray(X, dtype=np.float32))
model.compile()
model.synchronize()
seconds = []
for epoch in range(int(epochs)):
    start = time.perf_counter()
    model.run_epoch(epoch)
    model.synchronize()
    seconds.append(time.perf_counter() - start)
print(json.dumps(seconds))
