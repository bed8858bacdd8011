package zkmini;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.math.BigInteger;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import org.junit.jupiter.api.Test;

class JsonTest {
    private static final List<String> WRONG = Arrays.asList(
            "", " ", "{", "[", "{}x", "[1,]", "{\"a\":1,}", "{a:1}", "{\"a\" 1}", "{\"a\":1 \"b\":2}", "{\"a\":1,\"a\":2}", "01", "1.",
            ".5", "-", "+1", "1e", "tru", "nul", "NaN", "\"", "\"\\x\"", "\"\\u12g4\"", "\"\\u00٣1\"", "\"\t\"", "'a'", "[1 2]", "{\"a\"}",
            "// note\n1", "\uFEFF1", "[}", "{\"a\":]");

    @Test
    void everyKindOfValueIsRead() {
        JsonObject object = (JsonObject) JsonReader.read(
                " {\"a\": [1, -2.5e1, true, false, null], \"b\": {\"c\": \"x\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00\"}} \n");
        assertEquals(Arrays.asList(1L, -25.0, true, false, null), object.list("a"));
        assertEquals("x\"\\/\b\f\n\r\té\uD83D\uDE00", object.object("b").string("c"));
        assertEquals(Collections.emptyList(), JsonReader.read("[ ]"));
        assertEquals(Collections.emptyMap(), JsonReader.read("{ }"));
        assertEquals(Long.MIN_VALUE, JsonReader.read("-9223372036854775808"));
        assertEquals(9.3e18, JsonReader.read("9300000000000000000"));
    }

    @Test
    void whatIsNoJsonIsRefused() {
        for (String text : WRONG) {
            String message = assertThrows(UnexpectedAnswerException.class, () -> JsonReader.read(text), text).getMessage();
            assertTrue(message.startsWith("no JSON: "), message);
        }
    }

    @Test
    void everyBeginningOfAnObjectIsRefused() {
        String whole = "{\"a\":[1.5e3,\"x\\u0041\",{\"b\":null}],\"c\":true}";
        JsonReader.read(whole);
        for (int length = 0; length < whole.length(); length++) {
            String part = whole.substring(0, length);
            assertThrows(UnexpectedAnswerException.class, () -> JsonReader.read(part), part);
        }
    }

    @Test
    void depthHasABound() {
        StringBuilder deep = new StringBuilder();
        for (int i = 0; i < 100_000; i++) {
            deep.append('[');
        }
        assertThrows(UnexpectedAnswerException.class, () -> JsonReader.read(deep.toString()));
    }

    @Test
    void whatIsWrittenIsReadAsTheSame() {
        StringBuilder text = new StringBuilder();
        for (char c = 0; c < 0x300; c++) {
            text.append(c);
        }
        text.append("\uD83D\uDE00").append('\uD800');
        List<Object> value = Arrays.asList(text.toString(), 1L, -0.5, true, null, Collections.singletonMap("k", "v"));
        assertEquals(value, JsonReader.read(Json.write(value)));
        assertEquals("18446744073709551615", Json.write(new BigInteger("18446744073709551615")));
    }

    @Test
    void aFieldOfAnotherTypeNamesItself() {
        JsonObject object = (JsonObject) JsonReader.read("{\"a\":1,\"n\":null}");
        assertTrue(assertThrows(UnexpectedAnswerException.class, () -> object.string("a")).getMessage().contains("`a` has another type"));
        assertTrue(assertThrows(UnexpectedAnswerException.class, () -> object.flag("b")).getMessage().contains("`b` is missing"));
        assertEquals(null, object.optionalString("n"));
        assertThrows(IllegalArgumentException.class, () -> Json.write(Double.NaN));
        assertThrows(IllegalArgumentException.class, () -> Json.write(new Object()));
    }
}
