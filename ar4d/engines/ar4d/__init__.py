"""AR4D (Zhu et al., 2025): the stages of Sec. 4, one file each.

A stage takes values, yields events and returns values.
"""
