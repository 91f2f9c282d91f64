"""Functions that the tests sweep: importable from worker processes."""

import os
import time
from pathlib import Path

import numpy as np


def noise(sigma, trial, seed, pause=0.0, log=None):
    """A number that depends on the seed; appends a line to ``log`` when it starts."""
    if log is not None:
        with Path(log).open("a") as file:
            file.write(f"{sigma} {trial}\n")
    time.sleep(pause)
    return sigma * np.random.default_rng(seed).standard_normal()


def several(kind, centred, count):
    return {"length": len(kind) * count, "half": count / 2, "flag": centred}


def fails_at(sigma, trial, seed, bad):
    if trial == bad:
        raise ArithmeticError("no luck here")
    return sigma


def fails_without(sigma, trial, seed, bad, cure):
    return sigma if Path(cure).exists() else fails_at(sigma, trial, seed, bad)


def returns_wrong_names(sigma, trial, seed):
    return {"other": 1.0}


def returns_an_array(sigma, trial, seed):
    return np.ones(2)


def returns_a_float_for_an_integer(sigma, trial, seed):
    return 0.5


def product_of_large_matrices(trial, seed):
    """A sum whose last bits depend on how many threads the BLAS library uses."""
    matrix = np.random.default_rng(seed).standard_normal((400, 400))
    return float((matrix @ matrix).sum())


def kills_its_worker_once(sigma, trial, seed, flag, bad):
    """The first worker that comes to trial ``bad`` dies without a word."""
    if trial == bad and not os.path.exists(flag):
        Path(flag).touch()
        os.kill(os.getpid(), 9)
    time.sleep(0.01)
    return sigma * np.random.default_rng(seed).standard_normal()


def kills_its_worker(trial, seed, bad):
    time.sleep(0.02)
    if trial == bad:
        os.kill(os.getpid(), 9)
    return float(trial)
