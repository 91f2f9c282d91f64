"""Every experiment at small settings, computed once: claims, wrong theories and figures share them."""

import numpy as np
import pytest

LINE = tuple(np.linspace(1.0, 2.0, 21).round(6).tolist())
LONG_LINE = tuple(np.linspace(1.0, 4.0, 31).round(6).tolist())
SWEPT = {
    "hong2025.figure1": {
        "count": 100,
        "angles": (float(np.pi / 2),),
        "sigmas": (0.16, 0.4),
        "ratios": LINE,
        "trials": 110,
    },
    "hong2025.figure2": {"count": 50, "sigmas": (0.08, 0.4), "ratios": LONG_LINE, "trials": 60},
    "hong2025.theorem7": {
        "count": 25,
        "ratios": (2.5, 4.0),
        "sigmas": (0.2, 0.5, 1.5),
        "trials": 8,
    },
    "hong2025.figure3": {
        "count": 12,
        "sigmas": (0.18, 1.42),
        "ratios": (1.1, 3.0),
        "trials": 2,
        "width": 6,
        "epochs": 1000,
    },
    "hong2025.figure4": {"count": 15, "epochs": 5000, "ratios": (1.3, 3.0), "records": 5},
    "hong2025.figure5": {"count": 15, "epochs": 2000, "ratios": (1.3, 3.0), "records": 5},
    "hong2025.figure6": {
        "classes": 4,
        "per_class": 8,
        "widths": (16, 32, 3200, 0),
        "neurons": 16,
        "epochs": 1500,
        "records": 2,
    },
    "hong2025.choices": {
        "count": 12,
        "widths": (8,),
        "inits": (1.0, 0.01),
        "batches": (0, 6),
        "epochs": 256,
        "records": 9,
    },
    "hong2025.images": {"classes": (2,), "most": 20},
}
NETWORKS = {
    "width_multiplier": 0.125,
    "images": 50,
    "epochs": 40,
    "batch": 10,
    "learning_rate": 0.02,
    "records": 16,
}
TRAINED = {"depths": (3,), "seeds": (0,), "width": 32, "epochs": 300, "steps": 200}
SMALL = {
    "hong2025.certificates": {"draws": 5},
    "hong2025.lemmas": {"trials": 1_000},
    "hong2025.optimality": {"starts": 6},
    "hong2025.theorem2": {"shares": (0.2, 1.5), "seeds": (0, 1)},
    "hong2025.theorem8": {"trials": 10},
    "imbalance.batch_norm": TRAINED,
    "imbalance.batch_norm_kinds": {
        "kinds": (
            {"data": "tight", "depth": 2},
            {"data": "digits", "depth": 3, "conv": True, "batch_size": 16},
            {"data": "tight", "depth": 2, "affine_decayed": False},
        ),
        "networks": 1,
        "width": 16,
        "batch_epochs": 20,
    },
    "imbalance.batch_norm_training": {
        "counts": (20, 10, 5),
        "classes": (0, 1, 2),
        "at": (1, 5, 30),
        "bodies": {"two layers": {"depth": 2, "width": 16}},
        "batch_sizes": (12,),
    },
    "imbalance.depth": TRAINED,
    "imbalance.depth_digits": {
        "sets": (((3, 5), (24, 8)),),
        "depths": (3,),
        "width": 16,
        "epochs": 300,
        "steps": 200,
    },
    "imbalance.depth_limits": {
        "counts": (12, 6, 3),
        "deep": (10,),
        "many": 2,
        "cosines": (0.8,),
        "decays": ((4.0, 1.0, 0.25),),
        "width": 12,
        "epochs": 200,
        "steps": 100,
    },
    "imbalance.losses": {
        "counts": ((6,) * 3, (12, 6, 3)),
        "width": 16,
        "epochs": 150,
        "steps": 150,
    },
    "imbalance.minority": {"sizes": (4, 9), "epochs": 300, "steps": 150},
    "imbalance.peeled": TRAINED,
    "imbalance.seli": {},
    "ji2022.example31": {},
    "ji2022.figure1": {**NETWORKS, "stand_in": "mnist"},
    "ji2022.figure2": {"epochs": 2_000},
    **{f"ji2022.figure{n}": {**NETWORKS, "stand_in": "mnist"} for n in (3, 4, 5, 6, 7, 8)},
    "ji2022.rates": {},
    "ji2022.separation": {},
    "min2025.separable": {},
    "min2025.digits": {},
    "min2025.separable_digits": {},
    "min2025.alignment_time": {"sizes": (1e-3, 1e-5, 1e-7)},
    "min2025.lost_classes": {"seeds": (0, 1)},
    "papyan2020.curves": {**NETWORKS, "learning_rate": 0.01},
    "mixon2022.figure1": {"sizes": (1e-1, 1e-2)},
    "mixon2022.figure2": {"sizes": (1e-1, 1e-2)},
    "mixon2022.subspace": {},
    "mixon2022.final_errors": {
        "sizes": (1e-1, 1e-2),
        "seeds": (0, 1),
        "optimisers": {"gd": (0.02, 2000), "adam": (0.01, 5000)},
    },
}
SAME_RUN = {"mixon2022.figure2": "mixon2022.figure1"}


def write_idx(folder, name, array):
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, dtype=">u4").tobytes()
    (folder / name).write_bytes(header + array.astype(np.uint8).tobytes())


@pytest.fixture(scope="session")
def image_folder(tmp_path_factory):
    """Twenty images a class of 3 × 3 pixels: more than nine a class cannot collapse."""
    folder = tmp_path_factory.mktemp("data") / "tiny"
    folder.mkdir(parents=True)
    pixels = np.random.default_rng(5).integers(0, 256, (40, 3, 3))
    write_idx(folder, "train-images-idx3-ubyte", pixels)
    write_idx(folder, "train-labels-idx1-ubyte", np.arange(40) % 2)
    return folder


@pytest.fixture(scope="session")
def result_of(tmp_path_factory, image_folder):
    """A function from the name of an experiment to its result at small settings."""
    from ncollapse.papers import experiments

    known, results = experiments(), {}

    def compute(name):
        kept = SAME_RUN.get(name, name)
        if kept not in results:
            settings = SMALL.get(kept) or SWEPT.get(kept) or {}
            if kept in SWEPT:
                settings |= {"folder": tmp_path_factory.mktemp("sweep") / kept, "workers": 0}
            if kept == "hong2025.images":
                settings |= {"sources": {"tiny": str(image_folder)}}
            results[kept] = known[kept](**settings)
        return results[kept]

    return compute
