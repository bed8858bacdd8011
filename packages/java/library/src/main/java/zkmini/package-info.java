/**
 * A ZooKeeper server for tests, and its control: {@link zkmini.ZkMini} starts one, ends sessions, loses replies, moves the clock.
 *
 * <p>For JUnit 5 see {@link zkmini.junit}; for tests that use Curator's {@code TestingServer} see {@link zkmini.curator}.
 */
package zkmini;
