"""Makes the demo's speech with espeak-ng: `python -m demo.speech.make`. The WAV files here are its output.

espeak-ng speaks at 22,050 Hz and telephones hear 8,000, so what is above 3,600 Hz is cut off.
"""

from __future__ import annotations

import io
import subprocess
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

TELEPHONE_HZ = 8000
CUT_HZ = 3600
PEAK = 0.5

VOICES = {
    "agent": "nl+f2",
    "customer": "nl+m3",
    "employee": "nl+f4",
    "doctor": "nl+m7",
    "private": "en+f3",
    "home": "en+m1",
}

SENTENCES = {
    "agent": """Goedemiddag, u spreekt met de klantenservice van Zonneveld Energie. Ik zoek het even voor u
        op. Ja, ik zie het: het bedrag staat morgen op uw rekening.""",
    "customer": """Dag, met Van den Berg. Ik heb een vraag over mijn jaarrekening. Ik krijg geld terug, maar
        heb nog niets ontvangen. Kunt u zien wanneer het komt?""",
    "employee": """Goedemorgen dokter, ik bel over mijn rug. De oefeningen helpen, maar een hele dag zitten
        gaat nog niet. Kan ik voorlopig halve dagen werken?""",
    "doctor": """Goedemorgen, met de bedrijfsarts. Fijn dat u belt. Wat u mij vertelt, blijft tussen ons.
        Laten we volgende week samen kijken wat er weer lukt.""",
    "private": """Hi, it's me, I have a short break. Could you fetch the children at three? I will be home at
        six, and I will bring the cake for grandmother.""",
    "home": """Hello dear. Yes, of course, I will fetch them. Please do not forget the candles. She turns
        eighty only once. See you tonight.""",
}


def telephone(samples: NDArray[np.float64], rate: int) -> NDArray[np.float64]:
    """`samples` (n,) at `rate` Hz → (m,) at 8,000 Hz, the loudest at `PEAK`."""
    spectrum = np.fft.rfft(samples)
    spectrum[np.fft.rfftfreq(len(samples), 1 / rate) > CUT_HZ] = 0
    length = round(len(samples) * TELEPHONE_HZ / rate)
    slow: NDArray[np.float64] = np.fft.irfft(spectrum[: length // 2 + 1], length)
    slow *= PEAK / np.abs(slow).max()
    return slow


def main() -> None:
    for name, voice in VOICES.items():
        text = " ".join(SENTENCES[name].split())
        spoken = subprocess.run(
            ["espeak-ng", "-v", voice, "-s", "165", "--stdout", text], check=True, capture_output=True
        )
        samples, rate = soundfile.read(io.BytesIO(spoken.stdout))
        target = Path(__file__).with_name(f"{name}.wav")
        soundfile.write(target, telephone(samples, rate), TELEPHONE_HZ, subtype="PCM_16")


if __name__ == "__main__":
    main()
