"""Valence as people perceive a voice and a face: alone, and both together.

What enters: samples with an emotion or with listeners' votes. What leaves: valences. All figures
are means over the votes of people who only heard, only saw, or heard and saw CREMA-D's actors up to
1069; `tests/unit/semi_iin/test_perceived.py` computes them again.

CREMA-D's raters chose between one positive and four negative emotions, and call even neutral acting
negative. So zero is here what neutral acting is perceived as: a neutral voice has the valence 0, as
a neutral text has.
"""

from semi_iin.data.samples import Sample

NEUTRAL_VOICE = -0.60
"""Mean valence of voices that act nothing, as they are heard."""
VOICE = {
    "happy": 1.87,
    "neutral": 0.0,
    "calm": 0.0,
    "sad": -1.71,
    "fearful": -1.61,
    "disgusted": -1.64,
    "angry": -2.01,
}
"""Valence of a voice by the emotion that most listeners name."""
FACE = {
    "happy": 2.81,
    "neutral": 0.0,
    "sad": -2.01,
    "fearful": -1.96,
    "disgusted": -2.09,
    "angry": -2.08,
}
"""Valence of a face by the emotion that most viewers name."""
ACTED = 0.3
"""The share of what was acted in the valence by which a rated voice trains."""
VOICE_WEIGHT, FACE_WEIGHT = 0.29, 0.84
"""Least squares: valence of those who heard and saw, by that of those who heard and who saw."""


def heard(sample: Sample) -> float | None:
    """Return the valence, in [-3, 3], of a voice that was rated or acts an emotion; else None."""
    if sample.votes and sample.label is not None:
        return _bounded(sample.label - NEUTRAL_VOICE)
    return VOICE.get(sample.emotion or "")


def conveyed(sample: Sample) -> float | None:
    """Return the valence, in [-3, 3], by which a voice trains; None where `heard` gives none.

    About ten people rated a voice, and they overlook much happiness. So the valence is that which
    they heard, and to a share of `ACTED` that of the emotion which was acted.
    """
    valence, acted = heard(sample), VOICE.get(sample.emotion or "")
    if valence is None or acted is None:
        return valence
    return (1 - ACTED) * valence + ACTED * acted


def seen(sample: Sample) -> float | None:
    """Return the valence, in [-3, 3], of a face with an emotion; None for other emotions."""
    return FACE.get(sample.emotion or "")


def together(voice: float, face: float) -> float:
    """Return the valence, in [-3, 3], of a person who is heard and seen; the face decides most."""
    return _bounded(VOICE_WEIGHT * voice + FACE_WEIGHT * face)


def _bounded(valence: float) -> float:
    return min(max(valence, -3.0), 3.0)
