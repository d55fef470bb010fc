"""Plain data in, figures for paper out: SVG and PNG, drawn by matplotlib, which is loaded when something is drawn."""
