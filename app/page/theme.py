"""The page's theme: Gradio's, in the viewer's colours, without web fonts."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

WEB = Path(__file__).parent / "web"

INDIGO = gr.themes.Color(
    "#eeeefe", "#e6e5fd", "#cfcdfb", "#b0adf8", "#8f8bff", "#6c66f0", "#4f46e5", "#4338ca", "#3730a3",
    "#312e81", "#2b2a4a", name="indigo",
)  # fmt: skip
GREY = gr.themes.Color(
    "#f7f7f9", "#f1f1f4", "#e3e3e8", "#cfcfd6", "#9a9aa6", "#6d6d78", "#4b4b55", "#35353d", "#222329",
    "#1b1c21", "#131418", name="grey",
)  # fmt: skip
FONT = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"]


def theme() -> gr.themes.Base:
    """The theme for `launch`."""
    return gr.themes.Base(
        primary_hue=INDIGO,
        secondary_hue=INDIGO,
        neutral_hue=GREY,
        font=FONT,
        font_mono=["ui-monospace", "SF Mono", "Menlo", "Consolas", "monospace"],
        radius_size=gr.themes.sizes.radius_md,
        text_size=gr.themes.sizes.text_md,
    ).set(
        body_background_fill="#f7f7f9",
        body_background_fill_dark="#131418",
        block_background_fill="#ffffff",
        block_background_fill_dark="#1b1c21",
        background_fill_primary="#ffffff",
        background_fill_primary_dark="#1b1c21",
        background_fill_secondary="#f1f1f4",
        background_fill_secondary_dark="#222329",
        border_color_primary="#e3e3e8",
        border_color_primary_dark="#2d2e36",
        block_border_width="1px",
        block_shadow="none",
        block_label_background_fill="transparent",
        block_label_border_width="0",
        block_title_text_weight="550",
        block_info_text_color="#6d6d78",
        block_info_text_color_dark="#9a9aa6",
        body_text_color_subdued="#6d6d78",
        body_text_color_subdued_dark="#9a9aa6",
        button_primary_background_fill="#4f46e5",
        button_primary_background_fill_dark="#655fe8",
        button_primary_background_fill_hover="#4338ca",
        button_primary_background_fill_hover_dark="#8f8bff",
        button_primary_text_color="#ffffff",
        button_secondary_background_fill="#f1f1f4",
        button_secondary_background_fill_dark="#2d2e36",
        input_background_fill="#ffffff",
        input_background_fill_dark="#222329",
        button_large_text_size="14.5px",
        button_large_text_weight="550",
        button_large_padding="9px 14px",
        button_small_text_size="13px",
        block_title_text_color="#1d1d22",
        block_title_text_color_dark="#ececf1",
        block_title_text_size="13.5px",
        block_info_text_size="12.5px",
        checkbox_label_text_weight="550",
        checkbox_label_text_size="14px",
        input_border_width="1px",
        input_border_color="#e3e3e8",
        input_border_color_dark="#2d2e36",
        slider_color="#4f46e5",
        slider_color_dark="#8f8bff",
        color_accent="#4f46e5",
    )


def head() -> str:
    """Script of our custom elements, for the document's head."""
    scripts = "\n".join(path.read_text(encoding="utf-8") for path in sorted(WEB.glob("*.js")))
    return f'<script type="module">{scripts}</script>'


def stylesheet() -> str:
    """Our style sheets."""
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted(WEB.glob("*.css")))
