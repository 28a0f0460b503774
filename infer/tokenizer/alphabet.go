package tokenizer

import "unicode/utf8"

// The byte-level alphabet writes each byte as one printable character, so that a vocabulary is a list of strings and a merge file has
// spaces only between words: bytes 33..126, 161..172 and 174..255 are the code points of the same number, the other 68, in
// increasing order, are U+0100+k. A space is U+0120, a line feed U+010A. Source: bytes_to_unicode in GPT-2's encoder.py.
var letterOf, byteOf = alphabet()

// lastLetter is the letter of byte 0xAD, the highest code point of the alphabet.
const lastLetter = 0x143

func alphabet() (letter [256]rune, byteAt [lastLetter + 1]int16) {
	for i := range byteAt {
		byteAt[i] = -1
	}
	moved := rune(0x100)
	for b := range letter {
		if b >= 33 && b <= 126 || b >= 161 && b <= 172 || b >= 174 {
			letter[b] = rune(b)
		} else {
			letter[b] = moved
			moved++
		}
		byteAt[letter[b]] = int16(b)
	}
	return letter, byteAt
}

// appendLetters appends text as letters of the alphabet.
func appendLetters(dst []byte, text string) []byte {
	for i := range len(text) {
		dst = utf8.AppendRune(dst, letterOf[text[i]])
	}
	return dst
}

// appendBytes appends the bytes that letters stand for. A character outside the alphabet stands for itself.
func appendBytes(dst []byte, letters string) []byte {
	for i, r := range letters {
		if r <= lastLetter && byteOf[r] >= 0 {
			dst = append(dst, byte(byteOf[r]))
		} else {
			_, size := utf8.DecodeRuneInString(letters[i:])
			dst = append(dst, letters[i:i+size]...)
		}
	}
	return dst
}
