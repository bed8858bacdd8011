/** Extension for JUnit 5 that gives tests a ZooKeeper server: {@link zkmini.junit.ZkMiniExtension}. */
package zkmini.junit;
