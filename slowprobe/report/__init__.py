"""The result document and its renderers: html, text, json, markdown."""
