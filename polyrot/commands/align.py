"""`polyrot align`: the rotation between two language models, on text."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer


def align(
    source: Annotated[str, typer.Argument(help="folder of save_pretrained, or hub id[@revision]")],
    target: Annotated[str, typer.Argument(help="another model of the same width")],
    site: Annotated[
        list[str] | None,
        typer.Option(help="resid_pre.0, resid_post.N (repeatable); default: all common sites"),
    ] = None,
    text: Annotated[
        list[str] | None,
        typer.Option(
            help="text files, patterns in quotes (repeatable); default: the standard library's text"
        ),
    ] = None,
    tokens: Annotated[
        Path | None, typer.Option(help="file of token ids (.npy, .safetensors) instead of text")
    ] = None,
    sequences: Annotated[int, typer.Option(min=8, help="number of sequences")] = 256,
    length: Annotated[int, typer.Option(min=8, help="tokens per sequence")] = 128,
    batch: Annotated[int, typer.Option(min=1, help="sequences per forward pass")] = 16,
    dtype: Annotated[str, typer.Option(help="float32, bfloat16 or float16")] = "float32",
    device: Annotated[str, typer.Option(help="cpu or cuda")] = "cpu",
    seed: Annotated[
        int, typer.Option(help="random seed for the held-out sequences and the nulls")
    ] = 0,
    out: Annotated[Path, typer.Option(help="output file for the rotations")] = Path(
        "rotation.safetensors"
    ),
    carry_sae: Annotated[
        Path | None,
        typer.Option(
            help="autoencoder of the source (a folder) to carry; needs exactly one --site"
        ),
    ] = None,
    carry_vector: Annotated[
        Path | None,
        typer.Option(
            help="vectors of the source (.npy, .safetensors) to carry; needs exactly one --site"
        ),
    ] = None,
    backend: Annotated[
        str, typer.Option(help="what runs the units of work: loky (local processes), dask or ray")
    ] = "loky",
    jobs: Annotated[int, typer.Option(min=1, help="processes of --backend loky")] = 1,
    cluster: Annotated[
        str, typer.Option(help="scheduler of the Dask or Ray cluster; default: $POLYROT_CLUSTER")
    ] = "",
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="show every statistic of the Haar battery")
    ] = False,
) -> None:
    """Fit the rotation from one model's activations onto another's, and report how well it fits.

    Prints the held-out EV with its interval, the determinant, how many directions the text
    determines, whether the rotation is Haar, and the EV of other maps.

    Exits 0, 2 if a model, a text or an option is invalid, 130 after Ctrl-C.
    """
    from filelock import FileLock

    from polyrot.cache import cache_directory
    from polyrot.compare import carrying
    from polyrot.compare.compare import write_rotations
    from polyrot.compare.printed import comparison_lines, haar_lines
    from polyrot.compare.request import Request, common_width, compare
    from polyrot.errors import NotRun
    from polyrot.parallel import Workers, check_backend, using
    from polyrot.progress import ProgressLine
    from polyrot.upkeep.cache_contents import IN_USE

    chosen = site or []
    if (carry_sae or carry_vector) and len(chosen) != 1:
        raise typer.BadParameter("--carry-sae and --carry-vector need exactly one --site")
    line = ProgressLine()
    try:
        carried: list[tuple[Path, Any]] = []
        if carry_sae:
            carried.append((carry_sae, carrying.load_sae(carry_sae)))
        if carry_vector:
            carried.append((carry_vector, carrying.load_vectors(carry_vector)))
        request = Request(
            source=source,
            target=target,
            sites=tuple(chosen),
            text=tuple(text or ()),
            tokens=tokens,
            sequences=sequences,
            length=length,
            batch=batch,
            dtype=dtype,
            device=device,
            seed=seed,
        )
        for path, what in carried:  # before models run, which may take long
            carrying.check_width(path, what, common_width(request))
        workers = Workers(check_backend(backend), jobs, cluster)
        # In the cache folder, which the workers of a cluster see.
        work = cache_directory() / "comparisons"
        work.mkdir(parents=True, exist_ok=True)
        # The lock tells `polyrot cache clear` that the folder is in use.
        with (
            using(workers),
            TemporaryDirectory(dir=work) as folder,
            FileLock(Path(folder) / IN_USE),
        ):
            comparisons = compare(request, Path(folder), progress=line)
            lines = [*comparison_lines(comparisons), *(haar_lines(comparisons) if verbose else ())]
            line.clear()
            for row in lines:
                typer.echo(row)
            write_rotations(out, comparisons, {"source": source, "target": target})
            typer.echo(f"rotation: {out}")
            for path, what in carried:
                typer.echo(f"carried: {carrying.write_carried(path, what, comparisons[0].fit)}")
    except (NotRun, ValueError, OSError) as error:
        line.clear()
        typer.echo(f"polyrot align: {error}", err=True)
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        line.clear()
        typer.echo("\nInterrupted; nothing was written.", err=True)
        raise typer.Exit(130) from None
