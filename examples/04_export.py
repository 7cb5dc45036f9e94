"""One asset as files for other programs."""

from pathlib import Path

import ar4d
from ar4d.formats import FORMATS

ASSET = Path(__file__).parents[1] / "assets" / "example_run" / "refined.safetensors"


def main(out: Path = Path("runs/examples/04"), formats: tuple[str, ...] = ("html", "ply", "glb")) -> None:
    asset = ar4d.load_asset(ASSET)
    for name in formats:
        format = FORMATS[name]
        files = ar4d.export(asset, name, out / format.default_name(format.options()))
        size = sum(file.stat().st_size for file in files) / 1e6
        print(f"{format.label}: {len(files)} files, {size:.1f} MB")


if __name__ == "__main__":
    main()
