# META {"args": ["\u010ce\u0161tina \ufb01n  \u00df"], "expect": ["cestina fin ss", 3, "Lu"]}
import unicodedata

def simplify(self, text):
    plain = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    words = plain.split()
    return [" ".join(words), len(words), unicodedata.category(text[0])]
