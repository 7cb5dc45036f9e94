"""What pyproject.toml cannot say: the page travels in the wheel below `ar4d/bundled`.

`app` is a package of this repository and no name that a library may take in site-packages; `ar4d app`
puts `ar4d/bundled` on its own path.
"""

from setuptools import find_packages, setup

PAGE = [f"ar4d.bundled.{name}" for name in find_packages(include=["app", "app.*"])]

setup(
    packages=[*find_packages(include=["ar4d", "ar4d.*"]), "ar4d.bundled.assets", *PAGE],
    package_dir={"ar4d.bundled.app": "app", "ar4d.bundled.assets": "assets"},
    package_data={
        "ar4d": [
            "py.typed",
            "experts/embedded/weights/*",
            "experts/star/weights/*",
            "experts/grid/weights/*",
            "player/web/*",
            "bench/*.toml",
            "bench/*.json",
        ],
        "ar4d.bundled.app": ["page/web/*"],
        "ar4d.bundled.assets": [
            "examples/*",
            "example_run/*",
            "example_run/*/*",
            "example_runs/*/*",
            "example_runs/*/*/*",
        ],
    },
)
