package zkmini;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Strict reader of one JSON text (RFC 8259). Objects are {@link JsonObject}; whole numbers are Long, others Double. */
final class JsonReader {
    private static final int MAX_DEPTH = 1000;

    private final String text;
    private int at;
    private int depth;

    private JsonReader(String text) {
        this.text = text;
    }

    static Object read(String text) {
        JsonReader reader = new JsonReader(text);
        reader.skipBlanks();
        Object value = reader.value();
        reader.skipBlanks();
        if (reader.at < text.length()) {
            throw reader.wrong("the end");
        }
        return value;
    }

    private UnexpectedAnswerException wrong(String expected) {
        String found = at < text.length() ? "`" + text.substring(at, Math.min(text.length(), at + 20)) + "`" : "the end";
        return new UnexpectedAnswerException("no JSON: " + expected + " is expected at character " + at + ", and there is " + found, null);
    }

    private void skipBlanks() {
        while (at < text.length() && " \t\r\n".indexOf(text.charAt(at)) >= 0) {
            at++;
        }
    }

    private boolean take(char c) {
        boolean is = at < text.length() && text.charAt(at) == c;
        at += is ? 1 : 0;
        return is;
    }

    private void expect(char c) {
        if (!take(c)) {
            throw wrong("`" + c + "`");
        }
    }

    private Object value() {
        char c = at < text.length() ? text.charAt(at) : 0;
        switch (c) {
            case '{':
                return object();
            case '[':
                return array();
            case '"':
                return string();
            case 't':
                return word("true", true);
            case 'f':
                return word("false", false);
            case 'n':
                return word("null", null);
            default:
                return number();
        }
    }

    private Object word(String word, Object value) {
        if (!text.startsWith(word, at)) {
            throw wrong("a value");
        }
        at += word.length();
        return value;
    }

    private void deeper() {
        at++;
        if (++depth > MAX_DEPTH) {
            throw wrong("something less deep than " + MAX_DEPTH);
        }
        skipBlanks();
    }

    private JsonObject object() {
        Map<String, Object> fields = new LinkedHashMap<>();
        deeper();
        if (!take('}')) {
            do {
                skipBlanks();
                if (at >= text.length() || text.charAt(at) != '"') {
                    throw wrong("a key");
                }
                String key = string();
                if (fields.containsKey(key)) {
                    throw new UnexpectedAnswerException("no JSON: the key `" + key + "` stands twice in an object", null);
                }
                skipBlanks();
                expect(':');
                skipBlanks();
                fields.put(key, value());
                skipBlanks();
            } while (take(','));
            expect('}');
        }
        depth--;
        return new JsonObject(fields);
    }

    private List<Object> array() {
        List<Object> items = new ArrayList<>();
        deeper();
        if (!take(']')) {
            do {
                skipBlanks();
                items.add(value());
                skipBlanks();
            } while (take(','));
            expect(']');
        }
        depth--;
        return items;
    }

    private String string() {
        expect('"');
        StringBuilder out = new StringBuilder();
        while (!take('"')) {
            if (at >= text.length() || text.charAt(at) < 0x20) {
                throw wrong("`\"`");
            }
            char c = text.charAt(at++);
            out.append(c == '\\' ? escaped() : c);
        }
        return out.toString();
    }

    private char escaped() {
        int kind = at < text.length() ? "\"\\/bfnrtu".indexOf(text.charAt(at)) : -1;
        if (kind < 0) {
            throw wrong("one of \"\\/bfnrtu");
        }
        at++;
        return kind < 8 ? "\"\\/\b\f\n\r\t".charAt(kind) : hex();
    }

    private char hex() {
        int code = 0;
        for (int i = 0; i < 4; i++) {
            int digit = at < text.length() && text.charAt(at) < 0x80 ? Character.digit(text.charAt(at), 16) : -1;
            if (digit < 0) {
                throw wrong("a hexadecimal digit");
            }
            code = code * 16 + digit;
            at++;
        }
        return (char) code;
    }

    private Object number() {
        int start = at;
        take('-');
        if (!take('0')) {
            digits();
        }
        boolean whole = true;
        if (take('.')) {
            whole = false;
            digits();
        }
        if (take('e') || take('E')) {
            whole = false;
            if (!take('+')) {
                take('-');
            }
            digits();
        }
        String number = text.substring(start, at);
        try {
            return whole ? (Object) Long.valueOf(number) : (Object) Double.valueOf(number);
        } catch (NumberFormatException tooLong) {
            return Double.valueOf(number);
        }
    }

    private void digits() {
        int start = at;
        while (at < text.length() && text.charAt(at) >= '0' && text.charAt(at) <= '9') {
            at++;
        }
        if (at == start) {
            throw wrong("a value");
        }
    }
}
