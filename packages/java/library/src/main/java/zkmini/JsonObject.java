package zkmini;

import java.util.AbstractMap;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;

/** Object of a JSON answer, with its fields by type. A field that is missing, or of another type, names itself. */
final class JsonObject extends AbstractMap<String, Object> {
    private final Map<String, Object> fields;

    JsonObject(Map<String, Object> fields) {
        this.fields = Collections.unmodifiableMap(fields);
    }

    @Override
    public Set<Entry<String, Object>> entrySet() {
        return fields.entrySet();
    }

    @Override
    public Object get(Object key) {
        return fields.get(key);
    }

    @Override
    public String toString() {
        return Json.write(fields);
    }

    private <T> T typed(String name, Class<T> type, Object value) {
        if (type.isInstance(value)) {
            return type.cast(value);
        }
        String found = fields.containsKey(name) ? "has another type" : "is missing";
        throw new UnexpectedAnswerException("the field `" + name + "` " + found + " in " + this, null);
    }

    String string(String name) {
        return typed(name, String.class, fields.get(name));
    }

    /** Returns the text, or null. */
    String optionalString(String name) {
        return fields.get(name) == null ? null : string(name);
    }

    long number(String name) {
        return typed(name, Long.class, fields.get(name));
    }

    /** Returns the number, or null. */
    Long optionalNumber(String name) {
        return fields.get(name) == null ? null : Long.valueOf(number(name));
    }

    boolean flag(String name) {
        return typed(name, Boolean.class, fields.get(name));
    }

    JsonObject object(String name) {
        return typed(name, JsonObject.class, fields.get(name));
    }

    List<?> list(String name) {
        return typed(name, List.class, fields.get(name));
    }

    List<String> strings(String name) {
        List<String> texts = new ArrayList<>();
        for (Object item : list(name)) {
            texts.add(typed(name, String.class, item));
        }
        return Collections.unmodifiableList(texts);
    }

    /** Returns the objects of an array, each made into something. */
    <T> List<T> objects(String name, Function<JsonObject, T> make) {
        return objects(list(name), make);
    }

    static <T> List<T> objects(List<?> items, Function<JsonObject, T> make) {
        List<T> made = new ArrayList<>();
        for (Object item : items) {
            if (!(item instanceof JsonObject)) {
                throw new UnexpectedAnswerException("an object is expected, and there is " + Json.write(item), null);
            }
            made.add(make.apply((JsonObject) item));
        }
        return Collections.unmodifiableList(made);
    }
}
