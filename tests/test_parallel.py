"""Units of work: equal results here, in processes and on a real cluster that loses a worker."""

import inspect
import os
import re
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import joblib
import planted_language
import psutil
import pytest
import torch
import units
from distributed import LocalCluster
from joblib.externals.loky import get_reusable_executor, process_executor
from safetensors.torch import load_file
from torch import Tensor

from polyrot.capabilities.autoencoders import TrainedAutoencoders
from polyrot.compare import joint_moments
from polyrot.compare.joint_fits import fit_pairs
from polyrot.compare.joint_moments import gather_moments
from polyrot.errors import NotRun
from polyrot.experiments.language import activations
from polyrot.experiments.language.activations import harvest_language
from polyrot.linalg import battery
from polyrot.linalg.moments import Moments
from polyrot.linalg.procrustes import align
from polyrot.models.hub import Checkpoint
from polyrot.models.sources import ModelSource
from polyrot.parallel import Workers, _loky, run_units, using, workers
from polyrot.sae.recipe import SAEConfig
from polyrot.stats import nulls

HERE, TWO = Workers(), Workers(jobs=2)
TOKENS = torch.randint(
    planted_language.VOCABULARY, (22, 8), generator=torch.Generator().manual_seed(0)
)
HELD_OUT = torch.arange(22) % 4 == 1
SITES = ("resid_post.0", "resid_post.1")
RECIPE = SAEConfig(expansion=2, steps=5, batch=64)


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        dashboard_address="127.0.0.1:0",
        host="127.0.0.1",
    ) as running:
        yield running


@pytest.fixture(scope="module")
def dask(cluster: LocalCluster) -> Workers:
    return Workers("dask", cluster=cluster.scheduler_address)


@pytest.fixture(scope="module", autouse=True)
def _no_processes_left() -> Iterator[None]:
    yield
    get_reusable_executor().shutdown(wait=True)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> list[ModelSource]:
    folders = [
        planted_language.saved(planted_language.neox(seed), tmp_path_factory.mktemp(f"seed{seed}"))
        for seed in (1, 2)
    ]
    loaded = [ModelSource(Checkpoint(str(folder)), torch.float32) for folder in folders]
    return [*loaded, ModelSource(loaded[0].checkpoint, torch.float32, drawn=7)]


Everywhere = Callable[[Callable[[], Any]], dict[str, Any]]


@pytest.fixture
def everywhere(
    dask: Workers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Callable[[], Any]], dict[str, Any]]:
    """Do something in this process, in two others and on the cluster, with a cache each."""

    def run(what: Callable[[], Any]) -> dict[str, Any]:
        results = {}
        for name, on in {"here": HERE, "loky": TWO, "dask": dask}.items():
            monkeypatch.setenv("POLYROT_CACHE", str(tmp_path / name))
            monkeypatch.setattr(nulls, "_memory", {})
            with using(on):
                results[name] = what()
        return results

    return run


def same(results: dict[str, Any]) -> None:
    """Are results of `everywhere` equal to the last bit?"""
    expected = results.pop("here")
    for result in results.values():
        torch.testing.assert_close(result, expected, rtol=0, atol=0)


def test_one_job_is_this_process_and_keeps_the_order() -> None:
    shares: list[float] = []
    found = run_units(
        units.where, [(i,) for i in range(4)], progress=lambda share, what: shares.append(share)
    )
    assert [(number, process) for number, process, _ in found] == [
        (i, os.getpid()) for i in range(4)
    ]
    assert shares == [0.25, 0.5, 0.75, 1]
    assert run_units(units.where, []) == []


@pytest.mark.parametrize("backend", ["loky", "dask"])
def test_other_processes_keep_the_order_and_share_the_cores(backend: str, dask: Workers) -> None:
    shares: list[float] = []
    on = TWO if backend == "loky" else dask
    found = run_units(
        units.where,
        [(i,) for i in range(6)],
        on=on,
        progress=lambda share, what: shares.append(share),
    )
    assert [number for number, _, _ in found] == list(range(6))
    processes = {process for _, process, _ in found}
    assert len(processes) == 2
    assert os.getpid() not in processes
    assert {threads for _, _, threads in found} == {max(1, joblib.cpu_count() // 2)} or backend == (
        "dask"
    )
    assert shares == [pytest.approx((i + 1) / 6) for i in range(6)]


def test_that_a_worker_stopped_is_no_error() -> None:
    said = "A worker stopped while some jobs were given to the executor."
    # Raised where it is said, it ends the thread that was about to start another worker.
    assert re.sub(r'"\s+"', "", inspect.getsource(process_executor)).count(said) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with _loky(TWO):
            warnings.warn(said, UserWarning, stacklevel=1)


def test_a_killed_worker_costs_no_result(cluster: LocalCluster, dask: Workers, tmp_path: Path):
    units.run_while_a_worker_is_killed(dask, tmp_path)
    cluster.wait_for_workers(2, timeout=30)


def test_harvested_activations_are_equal_everywhere(
    everywhere: Everywhere, sources: list[ModelSource], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activations, "SHARD_TOKENS", 4 * 8)
    shares: list[float] = []

    def harvest() -> dict[str, Tensor]:
        shares.clear()
        models = [partial(replace, source) for source in sources]
        found = harvest_language(
            models,
            planted_language.D,
            TOKENS,
            SITES,
            batch=4,
            what={},
            progress=lambda share, what: shares.append(share),
        )
        return {site: found.at(site).clone() for site in SITES}

    results = everywhere(harvest)
    assert len(shares) == 3 * 6
    monkeypatch.setattr(activations, "SHARD_TOKENS", 2**14)
    assert torch.equal(everywhere(harvest)["here"]["resid_post.1"], results["here"]["resid_post.1"])
    found = results["here"]["resid_post.0"]
    assert found.abs().amin(-1).min() > 0  # no row was left out
    assert not torch.equal(found[0], found[2])  # that drawn before training is another
    same(results)


def test_moments_and_fits_of_all_pairs_are_equal_everywhere(
    everywhere: Everywhere,
    sources: list[ModelSource],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(joint_moments, "SHARD_TOKENS", 10 * 8)
    models = dict(zip("abc", sources, strict=True))

    def measure() -> dict[str, Any]:
        folder = tmp_path / f"moments-{workers().backend}-{workers().jobs}"
        joint = gather_moments(models, TOKENS, HELD_OUT, SITES, folder, batch=4)
        fits = fit_pairs(joint)
        assert {(fit.site, fit.pair) for fit in fits} == {
            (site, pair) for site in SITES for pair in [("a", "b"), ("a", "c"), ("b", "c")]
        }
        assert not list(folder.glob("shard-*"))
        fit, held = joint.at(SITES[1], ("b", "c"))
        return {
            "moments": [fit.cross, fit.source, fit.target_mean, held.cross],
            "counts": [fit.count, held.count],
            "maps": [load_file(f.file) for f in fits],
        }

    results = everywhere(measure)
    by_hand = pair_by_hand(sources)
    here = results["here"]
    assert here["counts"] == [part.count for part in by_hand]
    torch.testing.assert_close(here["moments"][0], by_hand[0].cross, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(here["moments"][3], by_hand[1].cross, rtol=1e-9, atol=1e-9)
    fitted = align(moments=by_hand[0], holdout_moments=by_hand[1])
    found = [float(here["maps"][-1][f"O.{name}"]) for name in ("ev_fit", "ev")]
    assert found == pytest.approx([fitted.ev_fit, fitted.ev])
    same(results)


def pair_by_hand(sources: list[ModelSource]) -> list[Moments]:
    """Moments of the last two models at the last site: those to fit, those held out."""
    x, y = (activations.read_sites(s.load(), TOKENS, SITES)[SITES[1]] for s in sources[1:])
    return [
        Moments.from_arrays(x[rows].flatten(0, 1), y[rows].flatten(0, 1))
        for rows in (~HELD_OUT, HELD_OUT)
    ]


def test_autoencoders_are_equal_everywhere(everywhere: Everywhere) -> None:
    data = [torch.randn(300, 16, generator=torch.Generator().manual_seed(i)) for i in range(3)]
    shares: list[float] = []

    def train() -> list[Tensor]:
        trained = TrainedAutoencoders(
            "tiny", RECIPE, lambda site: data, lambda share, what: shares.append(share)
        )
        saes = trained.at("resid_post.0", [0, 0, 1])
        assert saes[2].metadata["seed"] == 1
        return [getattr(sae, name) for sae in saes for name in ("W_enc", "b_enc", "W_dec", "b_dec")]

    same(everywhere(train))
    assert shares == pytest.approx([*(i / 5 for i in range(1, 6)), *(2 * [1 / 3, 2 / 3, 1])])


def test_nulls_are_equal_everywhere(
    everywhere: Everywhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    def draw() -> dict[str, Tensor]:
        return battery._spectral_null(9, False, 3) | battery._entries_null(9, 3)

    monkeypatch.setattr(battery, "DRAWS", 100)
    whole = draw()
    monkeypatch.setattr(battery, "SPECTRAL_UNIT", 9 * 40)
    monkeypatch.setattr(battery, "ENTRIES_UNIT", 9 * 9 * 48)
    results = everywhere(draw)
    parts = results["here"]
    assert all(len(part) == 100 for part in parts.values())
    # The spectral null is the same however it is cut (but for the last bits of vectorised
    # cosines); every part of the other has a generator of its own.
    for name in battery.SPECTRAL:
        torch.testing.assert_close(parts[name], whole[name], rtol=1e-12, atol=1e-12)
    for name in battery.OF_ENTRIES:
        assert torch.equal(parts[name][:48], whole[name][:48])
        assert len(parts[name].unique()) == 100
    same(results)


@pytest.mark.parametrize("backend", ["here", "loky", "dask"])
def test_what_a_unit_raises_comes_back(backend: str, dask: Workers) -> None:
    on = {"here": HERE, "loky": TWO, "dask": dask}[backend]
    with pytest.raises(NotRun, match=r"unit \d lacks something"):
        run_units(units.lacking, [(1,), (2,)], on=on)
    assert run_units(divmod, [(7, 2), (9, 4)], on=on) == [(3, 1), (2, 1)]


def test_what_is_missing_is_named_with_its_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POLYROT_CLUSTER", raising=False)
    monkeypatch.setattr("polyrot.parallel.CONNECT_SECONDS", 0.5)
    with pytest.raises(NotRun, match=r"`dask scheduler`.* then give --cluster ADDRESS or set POLY"):
        run_units(divmod, [(7, 2)], on=Workers("dask"))
    with pytest.raises(NotRun, match=r"no Dask scheduler answers at tcp://127.0.0.1:9 \(OSError\)"):
        run_units(divmod, [(7, 2)], on=Workers("dask", cluster="tcp://127.0.0.1:9"))
    monkeypatch.setenv("POLYROT_CLUSTER", "tcp://127.0.0.1:9")
    with using(Workers("dask")):
        assert workers().address == "tcp://127.0.0.1:9"
    assert workers() == HERE
    monkeypatch.setattr("polyrot.parallel.find_spec", lambda name: None)
    with pytest.raises(NotRun, match=r'dask needs a package: pip install "polyrot\[dask\]"'):
        Workers("dask").check()
    with pytest.raises(NotRun, match=r'ray needs a package: pip install "polyrot\[ray\]"'):
        Workers("ray").check()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"backend": "slurm"}, "Expected backend among .* but got backend='slurm'"),
        ({"jobs": 0}, "Expected jobs of at least 1 but got jobs=0"),
        ({"cluster": "tcp://host:1"}, "Expected backend dask or ray with a cluster"),
        ({"backend": "dask", "jobs": 2}, "Expected jobs only with backend loky but got jobs=2"),
    ],
)
def test_workers_that_make_no_sense_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Workers(**arguments)


@pytest.mark.cluster
def test_a_cluster_without_workers_is_named() -> None:
    with (
        LocalCluster(n_workers=0, dashboard_address="127.0.0.1:0", host="127.0.0.1") as empty,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr("polyrot.parallel.CONNECT_SECONDS", 1)
        with pytest.raises(NotRun, match="has no worker: `dask worker tcp://"):
            run_units(divmod, [(7, 2)], on=Workers("dask", cluster=empty.scheduler_address))


INTERRUPTED = """
import signal
# Where these tests run in the background of a shell, interrupts are ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
import units
from pathlib import Path
from polyrot.parallel import Workers, run_units
run_units(units.mark_and_wait, [(Path({folder!r}), i) for i in range(4)], on=Workers(jobs=2))
"""


@pytest.mark.process
def test_an_interrupt_leaves_no_process(tmp_path: Path) -> None:
    script = INTERRUPTED.format(folder=str(tmp_path))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    with subprocess.Popen(
        [sys.executable, "-c", script], env=environment, stderr=subprocess.PIPE, text=True
    ) as run:
        while len(list(tmp_path.iterdir())) < 2:
            assert run.poll() is None
            time.sleep(0.05)
        children = psutil.Process(run.pid).children(recursive=True)
        run.send_signal(signal.SIGINT)
        assert "KeyboardInterrupt" in run.communicate(timeout=20)[1]
    _, alive = psutil.wait_procs(children, timeout=5)
    assert [p for p in alive if p.status() != psutil.STATUS_ZOMBIE] == []


def test_options_of_a_run_choose_the_workers(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("POLYROT_CLUSTER", raising=False)
    pytester.makepyfile(
        """
        from polyrot.parallel import workers
        def test_workers():
            assert (workers().backend, workers().jobs) == ("loky", 2)
        """
    )
    pytester.runpytest("--jobs", "2").assert_outcomes(passed=1)
    assert workers() == HERE
    refused = pytester.runpytest("--backend", "dask")
    assert refused.ret == pytest.ExitCode.USAGE_ERROR
    refused.stderr.fnmatch_lines(["ERROR: --backend dask needs a cluster: start one with *"])
    pytester.runpytest("--jobs", "0").stderr.fnmatch_lines(["*Expected jobs of at least 1*"])
    alone = pytester.runpytest("--cluster", "tcp://x:1")
    alone.stderr.fnmatch_lines(["*Expected backend dask or ray with a cluster*"])
